"""UAVReaders: not raced. Version 1.0.6 ends its process with a segmentation fault, now and then, on intact logs too.

That would take the other ways with it. Its numbers on the packaged demo, where it lived: a twentieth of our rate, and
958 of 1,000 frames found.
"""

import UAVReaders

raise RuntimeError(f"{UAVReaders.__name__} 1.0.6 ends its process with a segmentation fault on some logs")
