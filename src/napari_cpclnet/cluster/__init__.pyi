from .client import LOCAL as LOCAL
from .client import Answer as Answer
from .client import Cluster as Cluster
from .client import Job as Job
from .client import open_cluster as open_cluster
from .segmenters import gpus_here as gpus_here
from .segmenters import pack_segmenter as pack_segmenter
from .segmenters import unpack_segmenter as unpack_segmenter
