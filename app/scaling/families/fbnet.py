"""FBNet-C (Wu et al., 2019). The values are timm's (`_gen_fbnetc`); it scales by the TinyNet paper's rules."""

from __future__ import annotations

from app.scaling.families.mbconv import mbconv_family, stages
from app.scaling.network import Architecture, Config, Head, Stem

C = Config(
    family="fbnet",
    resolution=224,
    stem=Stem(16),
    stages=stages(
        "ir_r1_k3_s1_e1_c16",
        "ir_r1_k3_s2_e6_c24 ir_r2_k3_s1_e1_c24",
        "ir_r1_k5_s2_e6_c32 ir_r1_k5_s1_e3_c32 ir_r1_k5_s1_e6_c32 ir_r1_k3_s1_e6_c32",
        "ir_r1_k5_s2_e6_c64 ir_r1_k5_s1_e3_c64 ir_r2_k5_s1_e6_c64",
        "ir_r3_k5_s1_e6_c112 ir_r1_k5_s1_e3_c112",
        "ir_r4_k5_s2_e6_c184",
        "ir_r1_k3_s1_e6_c352",
    ),
    head=Head(1984),
    activation="relu",
)

FAMILY = mbconv_family("fbnet", (Architecture("fbnetc_100", C),))
