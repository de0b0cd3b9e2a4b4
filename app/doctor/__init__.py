"""`rdw doctor`: checks for common problems of an installation, with what to do about them."""

from app.doctor.checks import examine
from app.doctor.finding import Finding

__all__ = ["Finding", "examine"]
