"""What a model says about the labels that it was trained on.

``findings`` compares predictions with the labels of an image, ``predict`` makes the predictions and keeps them,
``labels`` reads the annotations, ``files`` writes and reads lists of findings, ``apply`` applies findings to an
annotation file, and ``page`` writes the page to review them (it needs jinja2); its scripts are in ``web``.
"""
