"""check_includes finds each kind of wrong include, and nothing in a right tree."""

import pathlib
import tempfile
import unittest

from check_includes import problems_of

LAYERS = "# lowest first\nbase\naof\nrowstore colstore\nwire/pg wire/http\n"


class Includes(unittest.TestCase):
    def problems(self, files):
        with tempfile.TemporaryDirectory() as folder:
            top = pathlib.Path(folder)
            (top / "cmake").mkdir()
            (top / "cmake" / "layers.txt").write_text(LAYERS)
            for name, text in files.items():
                path = top / "src" / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
            return list(problems_of(top))

    def test_downward_and_same_layer_are_right(self):
        self.assertEqual([], self.problems({
            "base/error.hpp": "#include <vector>\n",
            "aof/writer.hpp": '#include "base/error.hpp"\n#include "aof/record.hpp"\n',
            "aof/record.hpp": "",
            "wire/pg/codec.cpp": '#include "aof/writer.hpp"\n',
        }))

    def test_upward(self):
        (problem,) = self.problems({"base/a.hpp": '\n#  include "aof/b.hpp"\n', "aof/b.hpp": ""})
        self.assertIn('src/base/a.hpp:2: "aof/b.hpp" points upward', problem)

    def test_sideways(self):
        (problem,) = self.problems({"rowstore/a.cpp": '#include "colstore/b.hpp"\n', "colstore/b.hpp": ""})
        self.assertIn("points sideways", problem)

    def test_sideways_in_nested_layers(self):
        (problem,) = self.problems({"wire/pg/a.cpp": '#include "wire/http/b.hpp"\n', "wire/http/b.hpp": ""})
        self.assertIn("wire/pg may not know wire/http", problem)

    def test_not_written_from_src(self):
        (problem,) = self.problems({"aof/a.cpp": '#include "b.hpp"\n', "aof/b.hpp": ""})
        self.assertIn("is not written from src/", problem)

    def test_missing_file(self):
        (problem,) = self.problems({"aof/a.cpp": '#include "base/gone.hpp"\n'})
        self.assertIn("does not exist", problem)

    def test_folder_without_a_layer(self):
        (problem,) = self.problems({"helpers/a.cpp": ""})
        self.assertIn("is in no layer", problem)


if __name__ == "__main__":
    unittest.main()
