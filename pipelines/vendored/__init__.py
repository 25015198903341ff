"""The parts of other libraries that are used here, and every process-wide effect of the pipelines.

Only modules of this folder write to ``sys.modules`` and ``os.environ``, replace functions of a library, or
change settings of the whole process.
"""
