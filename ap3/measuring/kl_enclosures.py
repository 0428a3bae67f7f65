"""Every bound from both sides on the KL of two predictions, by name, for `logit_change.means`.

PD is a slope plus this KL (`ap3.measuring.slopes`), so each encloses the PD too. What each has to know
of an example: `self_concordant` its variance Var_p(u) and its range; `bennett` the variance and the
largest rise; `two_ends` the slope at both ends, the largest rise and the largest fall.
"""

from ap3.measuring.logit_change import Quantity
from ap3.measuring.self_concordance import (
    bennett_lower,
    bennett_upper,
    self_concordant_lower,
    self_concordant_upper,
)
from ap3.measuring.two_ends import two_ends_lower, two_ends_upper

ENCLOSURES: dict[str, Quantity] = {
    "self_concordant_lower": self_concordant_lower,
    "self_concordant_upper": self_concordant_upper,
    "bennett_lower": bennett_lower,
    "bennett_upper": bennett_upper,
    "two_ends_lower": two_ends_lower,
    "two_ends_upper": two_ends_upper,
}
"""The ends between which one example's KL lies."""
