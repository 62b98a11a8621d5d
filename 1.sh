pip install -e ".[test]" && pytest
