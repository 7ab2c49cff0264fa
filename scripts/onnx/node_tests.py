"""Writes ONNX's own backend node tests to files: FOLDER/<test>/model.onnx and test_data_set_0/{input,output}_<n>.pb.

    python node_tests.py FOLDER

The `onnx` package holds them as code. Tests whose data are no tensors (sequences, optionals) are written without these data.
"""

import pathlib
import sys
import warnings

import numpy
import onnx
from onnx import numpy_helper
from onnx.backend.test.case.node import collect_testcases


def main() -> None:
    warnings.simplefilter("ignore")
    folder = pathlib.Path(sys.argv[1])
    for case in collect_testcases(None):
        if case.model is None or not case.data_sets:
            continue
        data = folder / case.name / "test_data_set_0"
        data.mkdir(parents=True, exist_ok=True)
        onnx.save(case.model, folder / case.name / "model.onnx")
        inputs, outputs = case.data_sets[0]
        for kind, values, infos in (
            ("input", inputs, case.model.graph.input),
            ("output", outputs, case.model.graph.output),
        ):
            for index, (value, info) in enumerate(zip(values, infos)):
                if isinstance(value, onnx.TensorProto):
                    tensor = value
                elif isinstance(value, (numpy.ndarray, numpy.generic)):
                    tensor = numpy_helper.from_array(numpy.asarray(value), info.name)
                else:
                    continue
                (data / f"{kind}_{index}.pb").write_bytes(tensor.SerializeToString())


if __name__ == "__main__":
    main()
