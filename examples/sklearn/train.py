"""Trains a model of scikit-learn or XGBoost and exports it, with test rows and what onnxruntime says of them.

Usage: python train.py MODEL, with one of the names in MODELS. It writes MODEL.onnx, MODEL.csv (test rows with the class that
onnxruntime gives, in the column `label`) and MODEL.train.csv (training rows, to quantize a linear model with).
"""

import csv
import sys

import numpy as np
import onnxruntime
from skl2onnx import to_onnx
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


def xgboost():
    from xgboost import XGBClassifier

    return XGBClassifier(n_estimators=100, max_depth=3, random_state=0)


def forest():
    return RandomForestClassifier(50, max_depth=5, random_state=0)


def logistic():
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))


MODELS = {
    "xgboost": (load_breast_cancer, xgboost),
    "forest": (load_breast_cancer, forest),
    "forest_digits": (load_digits, forest),
    "logistic": (load_breast_cancer, logistic),
}


def export(model, rows):
    if type(model).__module__.startswith("xgboost"):
        import onnxmltools
        from onnxmltools.convert.common.data_types import FloatTensorType

        types = [("x", FloatTensorType([None, rows.shape[1]]))]
        return onnxmltools.convert_xgboost(model, initial_types=types)
    return to_onnx(model, rows[:1], target_opset={"": 17, "ai.onnx.ml": 3})


def write(path, names, rows, classes):
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*names, "label"])
        # The shortest digits that give the same float32.
        for row, label in zip(rows, classes):
            writer.writerow([np.format_float_positional(v, unique=True, trim="-") for v in row] + [int(label)])


def main(name):
    load, make = MODELS[name]
    data = load()
    rows = data.data.astype(np.float32)
    train, test, train_labels, test_labels = train_test_split(rows, data.target, test_size=0.3, random_state=0)
    file = export(make().fit(train, train_labels), train).SerializeToString()
    with open(f"{name}.onnx", "wb") as out:
        out.write(file)
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    classes = np.asarray(session.run(None, {session.get_inputs()[0].name: test})[0]).ravel()
    names = [n.replace(" ", "_") for n in data.feature_names]
    write(f"{name}.csv", names, test, classes)
    write(f"{name}.train.csv", names, train, train_labels)
    print(f"{name}: accuracy {(classes == test_labels).mean():.1%} on {len(test)} test rows")


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in MODELS:
        sys.exit(f"usage: python train.py {'|'.join(MODELS)}")
    main(sys.argv[1])
