"""Networks that see: from images to the features in which sets of them are compared.

None is trained here to generate; all run as they are, on images in the units that each names.
"""
