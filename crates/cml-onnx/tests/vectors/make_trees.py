"""Writes the fixtures of trees and linear models, with the classes that onnxruntime gives for all test rows.

Run in this folder: python make_trees.py (scikit-learn, xgboost, lightgbm, skl2onnx, onnxmltools, onnxruntime).
"""

import numpy as np
import onnxmltools
import onnxruntime
from lightgbm import LGBMClassifier
from onnxmltools.convert.common.data_types import FloatTensorType
from skl2onnx import to_onnx
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier
from xgboost import XGBClassifier

DATA = {"breast_cancer": load_breast_cancer(), "digits": load_digits(), "wine": load_wine()}
MODELS = {
    "breast_cancer.xgboost": XGBClassifier(n_estimators=10, max_depth=3, random_state=0),
    "breast_cancer.lightgbm": LGBMClassifier(n_estimators=8, num_leaves=6, random_state=0, verbose=-1),
    "breast_cancer.forest": RandomForestClassifier(5, max_depth=4, random_state=0),
    "breast_cancer.boosting": GradientBoostingClassifier(n_estimators=10, max_depth=2, random_state=0),
    "breast_cancer.scaled": make_pipeline(StandardScaler(), DecisionTreeClassifier(max_depth=4, random_state=0)),
    "breast_cancer.logistic": make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)),
    "breast_cancer.svm": make_pipeline(StandardScaler(), LinearSVC(random_state=0)),
    "digits.forest": RandomForestClassifier(5, max_depth=5, random_state=0),
    "digits.logistic": LogisticRegression(max_iter=5000),
    "wine.tree": DecisionTreeClassifier(max_depth=3, random_state=0),
    "wine.xgboost": XGBClassifier(n_estimators=4, max_depth=2, random_state=0),
    "wine.lightgbm": LGBMClassifier(n_estimators=3, num_leaves=4, random_state=0, verbose=-1),
    "wine.boosting": GradientBoostingClassifier(n_estimators=4, max_depth=2, random_state=0),
    "wine.forest_regressor": RandomForestRegressor(4, max_depth=3, random_state=0),
    "wine.linear_regressor": make_pipeline(StandardScaler(), LinearRegression()),
}


def converted(name, model, rows):
    types = [("x", FloatTensorType([None, rows.shape[1]]))]
    if name.endswith("xgboost"):
        return onnxmltools.convert_xgboost(model, initial_types=types)
    if name.endswith("lightgbm"):
        return onnxmltools.convert_lightgbm(model, initial_types=types)
    options = {id(model.steps[-1][1]): {"raw_scores": True}} if name.endswith("svm") else None
    return to_onnx(model, rows[:1], options=options, target_opset={"": 17, "ai.onnx.ml": 3})


for data, bunch in DATA.items():
    rows, labels = bunch.data.astype(np.float32), bunch.target
    train, test, train_labels, _ = train_test_split(rows, labels, test_size=0.3, random_state=0)
    text = [",".join(np.format_float_positional(v, unique=True, trim="-") for v in row) for row in test]
    with open(f"{data}.rows.csv", "w") as file:
        file.write("\n".join(text) + "\n")
    for name, model in MODELS.items():
        if not name.startswith(data):
            continue
        file = converted(name, model.fit(train, train_labels), train).SerializeToString()
        with open(f"{name}.onnx", "wb") as out:
            out.write(file)
        session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
        results = session.run(None, {session.get_inputs()[0].name: test})
        with open(f"{name}.results.csv", "w") as out:
            for i, result in enumerate(np.asarray(results[0]).reshape(len(test))):
                line = [f"{result}"]
                if len(results) > 1 and not name.startswith("digits"):
                    row = results[1][i]
                    row = row.values() if isinstance(row, dict) else np.atleast_1d(row)
                    line += [f"{p:.6g}" for p in row]
                out.write(",".join(line) + "\n")
        print(name, len(file))
