// Names of networks, data sets and predictors as people write them.

const FAMILIES = {
  convnext: "ConvNeXt",
  efficientnet: "EfficientNet",
  fbnetc: "FBNet-C",
  ghostnet: "GhostNet",
  hardcorenas: "HardCoRe-NAS",
  lcnet: "LCNet",
  mnasnet: "MnasNet",
  mobilenetv1: "MobileNetV1",
  mobilenetv2: "MobileNetV2",
  mobilenetv3: "MobileNetV3",
  regnetx: "RegNetX",
  regnety: "RegNetY",
  resnet: "ResNet",
  resnext: "ResNeXt",
  semnasnet: "SE-MnasNet",
  tinynet: "TinyNet",
};

const DATASETS = { "imagenet-1000": "ImageNet", "fashion-mnist": "Fashion-MNIST" };

export const PUBLISHED = "published-tinynets";

// Returns "EfficientNet-B0" for efficientnet_b0; a registered baseline keeps its name.
export function networkName(name) {
  const family = Object.keys(FAMILIES).find((prefix) => new RegExp(`^${prefix}(_|\\d|$)`).test(name));
  if (!family) return name;
  const parts = name
    .slice(family.length)
    .split("_")
    .filter(Boolean)
    .map((part) => part[0].toUpperCase() + part.slice(1));
  return [FAMILIES[family], ...parts].join("-");
}

export const datasetName = (name) => DATASETS[name] ?? name;

export const networks = (predictor) =>
  `${predictor.observations} ${predictor.id === PUBLISHED ? "published" : "trained"} networks`;

export function predictorName(predictor) {
  if (predictor.id === PUBLISHED) return `Published TinyNets on ${datasetName(predictor.dataset)}`;
  const { name, architecture, dataset, version } = predictor;
  return `${name ?? networkName(architecture)} on ${datasetName(dataset)}, version ${version}`;
}
