"""Any config as an SSDLite detector: timm's network below, torchvision's head, boxes, matching and loss on top.

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

from app.scaling.architecture import Config
from worker.networks import build

_LEAST_CHANNELS = 64  # of an extra level
_NORM = partial(nn.BatchNorm2d, eps=1e-3, momentum=0.03)  # torchvision's SSDLite
_LEAST_SCORE, _MOST_BOXES, _CANDIDATES, _NMS_IOU = 0.01, 100, 400, 0.55  # 100: what COCO's mAP looks at
_CENTRE_WEIGHT, _SIDE_WEIGHT = 10.0, 5.0  # of SSD's box codes

Output = tuple[Tensor, Tensor]
Target = dict[str, Tensor]  # `boxes` float32 [k, 4], px; `labels` int64 [k], from 1


class SSDLite(SSD):
    """Takes images [n, in_chans, px, px], gives box codes [n, anchors, 4] and logits [n, anchors, 1 + classes].

    The backbone gives its last maps of the two coarsest strides; below each other follow extra levels, halved down to
    1 px. Its own last layer and classifier are not there, all other weights have timm's names below `backbone.`.
    """

    def __init__(self, config: Config, drop_path_rate: float = 0.0) -> None:
        px = config.resolution
        backbone = build(config, drop_path_rate=drop_path_rate)
        image = torch.zeros(1, config.in_chans, px, px)
        taken, maps = _coarsest(backbone, image)
        # What is behind the last map is no part of a detector.
        backbone.prune_intermediate_layers(taken, prune_norm=True, prune_head=True)  # type: ignore[operator]
        channels, sides = [m.shape[1] for m in maps], [m.shape[2] for m in maps]
        extra = nn.ModuleList()
        while sides[-1] > 1:
            wide = max(_LEAST_CHANNELS, channels[-1] // 2)
            extra.append(_extra_block(channels[-1], wide, _NORM))
            channels.append(wide)
            sides.append((sides[-1] + 1) // 2)
        _normal_init(extra)
        boxes = DefaultBoxGenerator([[2, 3]] * len(sides), min_ratio=0.2, max_ratio=0.95)
        head = SSDLiteHead(channels, boxes.num_anchors_per_location(), config.num_classes + 1, _NORM)
        super().__init__(backbone, boxes, (px, px), config.num_classes + 1, head=head)
        del self.transform  # images come resized and normalised
        self.extra, self.taken, self.px = extra, taken, px
        (anchors,) = boxes(ImageList(image, [(px, px)]), [torch.zeros(1, 1, side, side) for side in sides])
        self.register_buffer("anchors", anchors, persistent=False)

    def forward(self, images: Tensor) -> Output:  # type: ignore[override]
        maps = self.backbone.forward_intermediates(images, indices=self.taken, intermediates_only=True)
        for block in self.extra:
            maps.append(block(maps[-1]))
        found = self.head(maps)
        return found["bbox_regression"], found["cls_logits"]

    def loss(self, output: Output, targets: list[Target]) -> Tensor:
        """SSD's: smooth L1 of the codes and cross-entropy with hard negatives, a matched anchor."""
        codes, logits = (part.float() for part in output)
        matched = [self._matched(target["boxes"]) for target in targets]
        anchors = [self.anchors] * len(targets)
        losses = self.compute_loss(targets, {"bbox_regression": codes, "cls_logits": logits}, anchors, matched)
        return losses["bbox_regression"] + losses["classification"]

    def _matched(self, boxes: Tensor) -> Tensor:
        """Of each anchor the index of its box, -1 where it has none."""
        if len(boxes) == 0:
            return torch.full((len(self.anchors),), -1, device=self.anchors.device)
        return self.proposal_matcher(box_iou(boxes, self.anchors))

    def decoded(self, output: Output) -> Output:
        """Boxes [n, anchors, 4] in px of the input, inside it, and scores [n, anchors, classes], no background's."""
        codes, logits = output
        # torchvision's decoding has tensors made on the way, which tracing would freeze.
        shift, stretch = codes.split(2, -1)
        least, most = self.anchors.split(2, -1)
        sides = most - least
        centres = least + sides / 2 + sides * shift / _CENTRE_WEIGHT
        reach = sides * (stretch / _SIDE_WEIGHT).clamp(max=self.box_coder.bbox_xform_clip).exp() / 2
        boxes = torch.cat([centres - reach, centres + reach], -1)
        return boxes.clamp(0, self.px), logits.softmax(-1)[..., 1:]

    def detections(self, output: Output) -> list[Target]:
        """Of each image the boxes (with `scores`, best first) that stay after non-maximum suppression by class."""
        return [self._best(boxes, scores) for boxes, scores in zip(*self.decoded(output), strict=True)]

    def _best(self, boxes: Tensor, scores: Tensor) -> Target:
        anchor, label = torch.nonzero(scores > _LEAST_SCORE, as_tuple=True)
        score = scores[anchor, label]
        score, first = score.topk(min(_CANDIDATES, len(score)))
        anchor, label = anchor[first], label[first]
        kept = batched_nms(boxes[anchor], score, label, _NMS_IOU)[:_MOST_BOXES]
        return {"boxes": boxes[anchor[kept]], "scores": score[kept], "labels": label[kept] + 1}


class Decoded(nn.Module):
    """A detector that gives boxes and scores of all anchors (`SSDLite.decoded`)."""

    def __init__(self, detector: SSDLite) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, images: Tensor) -> Output:
        return self.detector.decoded(self.detector(images))


@torch.inference_mode()
def _coarsest(backbone: nn.Module, image: Tensor) -> tuple[list[int], list[Tensor]]:
    """The last maps of the two least sides (of one, where there is no other), and which of timm's they are."""
    maps = backbone.eval().forward_intermediates(image, intermediates_only=True)
    backbone.train()
    last = {m.shape[2]: index for index, m in enumerate(maps)}
    taken = sorted(last.values())[-2:]
    return taken, [maps[index] for index in taken]
