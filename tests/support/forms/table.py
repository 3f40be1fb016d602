"""The table of all forms."""

from forms import classes, data, flavours, hubs, inputs, outputs, pickles
from forms.form import Form

FORMS: tuple[Form, ...] = (
    *inputs.FORMS,
    *outputs.FORMS,
    *pickles.FORMS,
    *flavours.FORMS,
    *hubs.FORMS,
    *classes.FORMS,
    *data.FORMS,
)
