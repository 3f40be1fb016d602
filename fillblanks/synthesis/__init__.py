"""Pictures that a network asks for, with the prior of natural images.

spectrum.py holds the prior, parametrisation.py makes images from it, harmonic.py interpolates into
blanks, views.py moves and zooms images, draws.py draws all that is random; complete.py fills the
blanks of images, whole.py draws whole pictures of classes, recipe.py has their defaults and
ascent.py the step that both take. May import all of fillblanks.
"""
