"""Who would post this pin? Text and fc7 classifiers, a cascade, a refinement.

Reproduces J. C. Gomez, M.-A. Ibarra-Manzano, D.-L. Almanza-Ojeda, "User Identification in
Pinterest Through the Refinement of a Cascade Fusion of Text and Images", Research in
Computing Science 144, 2017. Reads feature files; never imports Caffe.
"""
