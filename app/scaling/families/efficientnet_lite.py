"""EfficientNet-Lite 0 to 4: EfficientNet without squeeze-excite and with ReLU6, for integer arithmetic.

Values are timm's (`_gen_efficientnet_lite`): Lite 1 to 4 grow from Lite 0 with repeats rounded up, but for the first
and the last stage's, and with stem and head as they are. As baselines all of them scale by the TinyNet paper's rules.
"""

from __future__ import annotations

from app.scaling.architecture import Architecture, Config, Head, ScalingRules, Stage, Stem
from app.scaling.families.mbconv import inner_repeats, mbconv_family

LITE0 = Config(
    family="efficientnet_lite",
    resolution=224,
    stem=Stem(32),
    stages=(
        Stage("ds", 1, 16, kernel=3, stride=1),
        Stage("ir", 2, 24, kernel=3, stride=2, expansion=6),
        Stage("ir", 2, 40, kernel=5, stride=2, expansion=6),
        Stage("ir", 3, 80, kernel=3, stride=2, expansion=6),
        Stage("ir", 3, 112, kernel=5, stride=1, expansion=6),
        Stage("ir", 4, 192, kernel=5, stride=2, expansion=6),
        Stage("ir", 1, 320, kernel=3, stride=1, expansion=6),
    ),
    head=Head(1280),
    activation="relu6",
)

_LITE = {  # px, depth, width
    "efficientnet_lite0": (224, 1.0, 1.0),
    "efficientnet_lite1": (240, 1.1, 1.0),
    "efficientnet_lite2": (260, 1.2, 1.1),
    "efficientnet_lite3": (300, 1.4, 1.2),
    "efficientnet_lite4": (380, 1.8, 1.4),
}


def _lite(name: str) -> Architecture:
    px, depth, width = _LITE[name]
    grown = Architecture("efficientnet_lite0", LITE0, ScalingRules(depth="ceil", head="fixed"))
    return Architecture(name, grown.assembled(px, inner_repeats(grown, depth), width))


FAMILY = mbconv_family("efficientnet_lite", tuple(_lite(name) for name in _LITE))
