"""Any config as an SSDLite detector: timm's network as backbone, with torchvision's head, matching and loss.

SSD: arXiv 1512.02325; SSDLite: section 6.2 of arXiv 1801.04381.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn
from torchvision.models.detection.anchor_utils import DefaultBoxGenerator
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.ssd import SSD
from torchvision.models.detection.ssdlite import SSDLiteHead, _extra_block, _normal_init
from torchvision.ops import batched_nms, box_iou

from app.scaling.network import Config
from worker.networks import build

_MIN_EXTRA_CHANNELS = 64
_NORM = partial(nn.BatchNorm2d, eps=1e-3, momentum=0.03)  # as in torchvision's SSDLite
_MIN_SCORE, _MAX_CANDIDATES, _NMS_IOU = 0.01, 400, 0.55
_MAX_DETECTIONS = 100  # those that COCO's mAP considers
_CENTRE_WEIGHT, _SIZE_WEIGHT = 10.0, 5.0  # of SSD's box codes

Output = tuple[Tensor, Tensor]
Target = dict[str, Tensor]  # `boxes` float32 [k, 4] in pixels; `labels` int64 [k], from 1


class SSDLite(SSD):
    """Maps images [n, in_chans, px, px] to box codes [n, anchors, 4] and logits [n, anchors, 1 + classes].

    The feature maps are the backbone's last ones of its two coarsest strides, then extra levels, each with half the
    side, down to one pixel. The backbone has no head and no classifier; its other weights have timm's names after
    `backbone.`.
    """

    anchors: Tensor

    def __init__(self, config: Config, drop_path_rate: float = 0.0) -> None:
        px = config.resolution
        if not isinstance(px, int):
            raise ValueError("the input of a detector is square")
        backbone = build(config, drop_path_rate=drop_path_rate)
        image = torch.zeros(1, config.in_chans, px, px)
        levels, maps = _coarsest_maps(backbone, image)
        # Layers after the last map are not used by a detector.
        backbone.prune_intermediate_layers(levels, prune_norm=True, prune_head=True)  # type: ignore[operator]  # timm's
        channels, sides = [m.shape[1] for m in maps], [m.shape[2] for m in maps]
        extra = nn.ModuleList()
        while sides[-1] > 1:
            extra_channels = max(_MIN_EXTRA_CHANNELS, channels[-1] // 2)
            extra.append(_extra_block(channels[-1], extra_channels, _NORM))
            channels.append(extra_channels)
            sides.append((sides[-1] + 1) // 2)
        _normal_init(extra)
        boxes = DefaultBoxGenerator([[2, 3]] * len(sides), min_ratio=0.2, max_ratio=0.95)
        head = SSDLiteHead(channels, boxes.num_anchors_per_location(), config.num_classes + 1, _NORM)
        super().__init__(backbone, boxes, (px, px), config.num_classes + 1, head=head)
        del self.transform  # images arrive resized and normalised
        self.extra, self.levels, self.px = extra, levels, px
        (anchors,) = boxes(ImageList(image, [(px, px)]), [torch.zeros(1, 1, side, side) for side in sides])
        self.register_buffer("anchors", anchors, persistent=False)

    def forward(self, images: Tensor) -> Output:  # type: ignore[override]  # torchvision takes lists
        maps = _feature_maps(self.backbone, images, self.levels)
        for block in self.extra:
            maps.append(block(maps[-1]))
        output = self.head(maps)
        return output["bbox_regression"], output["cls_logits"]

    def loss(self, output: Output, targets: list[Target]) -> Tensor:
        """Return SSD's loss per matched anchor: smooth L1 of the codes and cross-entropy with hard negatives."""
        codes, logits = (tensor.float() for tensor in output)
        matches = [self._match(target["boxes"]) for target in targets]
        anchors = [self.anchors] * len(targets)
        losses = self.compute_loss(targets, {"bbox_regression": codes, "cls_logits": logits}, anchors, matches)
        return losses["bbox_regression"] + losses["classification"]

    def _match(self, boxes: Tensor) -> Tensor:
        """Return the index of each anchor's box, or -1."""
        if len(boxes) == 0:
            return torch.full((len(self.anchors),), -1, device=self.anchors.device)
        return self.proposal_matcher(box_iou(boxes, self.anchors))

    def decode(self, output: Output) -> Output:
        """Return boxes [n, anchors, 4] in pixels, clipped to the input, and scores [n, anchors, classes]."""
        codes, logits = output
        # torchvision's decoder creates tensors from Python numbers, which tracing would freeze.
        shift, stretch = codes.split(2, -1)
        top_left, bottom_right = self.anchors.split(2, -1)
        sizes = bottom_right - top_left
        centres = top_left + sizes / 2 + sizes * shift / _CENTRE_WEIGHT
        half_sizes = sizes * (stretch / _SIZE_WEIGHT).clamp(max=self.box_coder.bbox_xform_clip).exp() / 2
        boxes = torch.cat([centres - half_sizes, centres + half_sizes], -1)
        return boxes.clamp(0, self.px), logits.softmax(-1)[..., 1:]

    def detections(self, output: Output) -> list[Target]:
        """Return the boxes of each image after non-maximum suppression by class, with `scores`, best first."""
        return [self._suppress(boxes, scores) for boxes, scores in zip(*self.decode(output), strict=True)]

    def _suppress(self, boxes: Tensor, scores: Tensor) -> Target:
        anchor, label = torch.nonzero(scores > _MIN_SCORE, as_tuple=True)
        score = scores[anchor, label]
        score, best = score.topk(min(_MAX_CANDIDATES, len(score)))
        anchor, label = anchor[best], label[best]
        kept = batched_nms(boxes[anchor], score, label, _NMS_IOU)[:_MAX_DETECTIONS]
        return {"boxes": boxes[anchor[kept]], "scores": score[kept], "labels": label[kept] + 1}


class DecodedSSDLite(nn.Module):
    """A detector whose outputs are the boxes and scores of all anchors (`SSDLite.decode`)."""

    def __init__(self, detector: SSDLite) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, images: Tensor) -> Output:
        return self.detector.decode(self.detector(images))


def _feature_maps(backbone: nn.Module, images: Tensor, indices: list[int] | None = None) -> list[Tensor]:
    """Return the feature maps of timm's stages with these indices, by default of all stages."""
    maps: list[Tensor] = backbone.forward_intermediates(  # type: ignore[operator]  # timm's networks have this method
        images, indices=indices, intermediates_only=True
    )
    return maps


@torch.inference_mode()
def _coarsest_maps(backbone: nn.Module, image: Tensor) -> tuple[list[int], list[Tensor]]:
    """Return the last maps of the two smallest sides (or of the only one), and timm's indices of them."""
    maps = _feature_maps(backbone.eval(), image)
    backbone.train()
    last = {m.shape[2]: index for index, m in enumerate(maps)}
    indices = sorted(last.values())[-2:]
    return indices, [maps[index] for index in indices]
