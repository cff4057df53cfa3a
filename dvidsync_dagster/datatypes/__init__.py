"""One package for each data type of DVID, all behind the contract in `contract`; `registry` lists them."""
