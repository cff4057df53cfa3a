"""Object stores on this machine, which misbehave as a test tells them to.

| kind | what answers |
| --- | --- |
| `s3` | moto |
| `gs` | moto again, as Google's XML API speaks S3's language, with Google's generations on top (`gcs.py`) |
| `az` | Azurite, Microsoft's own emulator, from ``.ci/azurite`` |

In front of each is the same layer (`faults.py`).
"""
