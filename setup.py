"""The build: what the suite reads at run time and lies outside of src goes into the wheel, see nqsbench.resources."""

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithResources(build_py):
    """An editable installation reads these folders where they are."""

    def run(self):
        super().run()
        for folder in () if self.editable_mode else ("config", "workflow/report"):
            self.copy_tree(folder, f"{self.build_lib}/nqsbench/checkout/{folder}")


setup(cmdclass={"build_py": BuildWithResources})
