"""The parts of other libraries that the pipelines use, and every process-wide effect of the pipelines.

Only modules in this folder write to ``sys.modules`` or ``os.environ``, replace library functions, or change
process-wide settings.
"""
