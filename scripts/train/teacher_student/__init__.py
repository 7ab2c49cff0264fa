"""A teacher-student inspection model: trained on good parts, written as one ONNX file. `python -m teacher_student --help`."""
