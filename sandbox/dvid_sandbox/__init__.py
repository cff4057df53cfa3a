"""A small server that answers and publishes as DVID does, with a Kafka broker and people who edit.

| module | holds |
| --- | --- |
| `launcher`, `real_server` | DVID servers from Python: the sandbox's and a real one, with the same methods |
| `broker` | a Kafka broker in memory |
| `proofreaders` | people who edit any DVID server |
| `state`, `messages` | what a server holds, and what it published |
| `recording`, `replay` | a real server's traffic, read and sent to another server |
| `server`, `app`, `process` | the server as a program; a request from its arrival to its answer |
| `faults`, `traffic` | what goes wrong on demand; what clients sent |
| `journal` | what the server keeps in its folder |
| `datastore`, `repo`, `nodes`, `versioned`, `about` | repos, versions, the server about itself |
| `instance`, `keyvalue`, `neuronjson`, `annotation`, `labelmap` | the data types |
| `mutations`, `splits`, `indices`, `counters`, `voxels`, `blocks` | what a labelmap consists of |
| `offered`, `exchange`, `reading`, `golang`, `wire` | what is answered; DVID's and Go's forms |
"""
