"""What is usually wrong with an installation, and what to do about it. Each check stands alone."""

from app.doctor.checks import Finding, examine

__all__ = ["Finding", "examine"]
