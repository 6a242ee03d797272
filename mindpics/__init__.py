"""MindPics: pictures posted with Big Five words train AlexNet and ResNet-50 in Caffe.

Reproduces Cucurull et al. 2018, "Deep Inference of Personality Traits by
Integrating Image and Word Use in Social Networks".
"""

__version__ = "0.1.0"
