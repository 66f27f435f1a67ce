"""Features by name: in which numbers two sets of examples are compared.

    features = build_features("pca:dim=32")
    extract = features.open(train, workdir / "features", seed=0, test=test)
    extract(values).features                # float32 [B, 32]
    extract.protocol                        # all that they follow from

One's own are a function from values to an array [B, D], called by "module:function".
"""

# They register themselves.
from experiments.config_schema.choice import check_fields, parse
from experiments.config_schema.lookup import lookup, validated
from experiments.evaluation.features import (  # noqa: F401
    classifier,
    dinov2,
    efficientnet,
    inception,
    pixels,
)
from experiments.evaluation.features.extractor import Extracted, Extractor, Features, features
from experiments.evaluation.features.own import Own

__all__ = ["Extracted", "Extractor", "Features", "build_features", "features"]


def build_features(spec: str, path: str = "--features") -> Features:
    """The features of NAME[:field=value,…].

    Args:
      spec: a name in `features`, or the user's own "module:Class" or "module:function".
      path: the flag or field that it is from, for messages.

    Raises:
      UserError: an unknown name or field, or a value of another type or out of range.
    """
    name, given = parse(spec)
    entry = lookup(features, name, path)
    check_fields(given, entry, f"{path}: {name}")
    if isinstance(entry, type) and issubclass(entry, Features):
        return validated(entry, given, path)
    return Own(name=name, function=entry, fields=given)
