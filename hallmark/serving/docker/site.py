"""A server in a container of this machine: the image's own interpreter tells what is in it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from hallmark.core.errors import LaunchError
from hallmark.core.files import write_json
from hallmark.core.grace import STOP_GRACE_VARIABLE
from hallmark.core.redact import masked
from hallmark.environment.bundle import facts_program
from hallmark.environment.collect import (
    BUILDS_FILE,
    DIGESTS_FILE,
    OF_THE_INTERPRETER,
    OF_THE_SYSTEM,
    WEIGHTS_FILE,
    Facts,
    of_the_machine,
    parse,
    parse_builds,
    parse_digests,
    parse_weights,
    versions_in,
)
from hallmark.environment.commits import Build, of_labels
from hallmark.environment.digest_cache import DigestCache
from hallmark.environment.served_weights import WeightsFiles
from hallmark.environment.weights_manifest import WeightsManifest, manifest_inside
from hallmark.serving.container import ContainerPlan, without_devices
from hallmark.serving.docker.container_plan import HOST, PORT, container_plan, in_container
from hallmark.serving.docker.documents import specification_file, with_documents
from hallmark.serving.plan import Installed, LaunchSettings, asked_at_start
from hallmark.serving.server import LaunchPlan
from hallmark.serving.site import Site
from hallmark.specs.model_spec import ModelSpec

_GATEWAY_LABEL = "hallmark.engine.flavor"


class DockerSite(Site):
    """An image, run by Docker; its own interpreter tells what is in it."""

    @property
    def container(self) -> ContainerPlan:
        return container_plan(self.cell, self._settings.image)

    def plan(self) -> LaunchPlan:
        closed = not self.keys.demanded or self._closes_itself()
        return self._contained(
            self.launch(), lambda env: versions_in(self._ask(facts_program(), env, "installed_packages")), closed=closed
        )

    def intended_plan(self, *, strict: bool) -> LaunchPlan:
        return self._contained(self._intended(strict=strict), asked_at_start)

    def left_open(self, plan: LaunchPlan) -> tuple[str, ...]:
        engine = f"whether a Docker engine runs here and has the image {self.container.image}"
        return (f"whether {self.cell.device} is here and free", engine, *self._shown_port)

    def _closes_itself(self) -> bool:
        """Whether hallmark's gateway is in the image, as in the one that `engine/` builds."""
        return _GATEWAY_LABEL in self.served_from()["image"]["labels"]

    def facts(self, plan: LaunchPlan) -> Facts:
        try:
            return parse(self._ask(facts_program(), plan.env), where=self.container.image)
        except LaunchError as exc:
            if self._device_here:
                raise
            unknown = dict.fromkeys((*OF_THE_INTERPRETER, *OF_THE_SYSTEM), str(exc))
            return of_the_machine({**self._environ, **plan.env}, unknown)

    def builds(self, plan: LaunchPlan) -> tuple[Build, ...]:
        output = self._ask(BUILDS_FILE.read_text(encoding="utf-8"), plan.env, *self.cell.impl.pinned_commits)
        labels: Mapping[str, str] = self.served_from()["image"]["labels"]
        return (*parse_builds(output, where=self.container.image), *of_labels(labels))

    def weights_files(self, plan: LaunchPlan) -> WeightsFiles:
        from hallmark.serving.docker.once import run_beside  # brings the Docker SDK

        # In the very container: what the server has fetched may lie in no volume.
        program, request = WEIGHTS_FILE.read_text(encoding="utf-8"), json.dumps(self._weights_request(plan))
        output = run_beside(plan.cell, ["python3", "-I", "-c", program, request])
        return parse_weights(output, where=self.container.image)

    def weights_manifest(self, plan: LaunchPlan, cache: DigestCache) -> WeightsManifest:
        """Of a hub they lie in the container, perhaps in a layer of its own: they are read in there, and each time anew."""
        if self.weights_need_no_server:
            return super().weights_manifest(plan, cache)
        from hallmark.serving.docker.once import run_beside  # brings the Docker SDK

        folder = self.weights_folder(plan)
        self._log(f"reading the weights in {folder} of the container")
        output = run_beside(plan.cell, ["python3", "-I", "-c", DIGESTS_FILE.read_text(encoding="utf-8"), str(folder)])
        return manifest_inside(folder, parse_digests(output, where=self.container.image))

    @property
    def weights_need_no_server(self) -> bool:
        return bool(self.cell.weights.path)

    def prepared(self, plan: LaunchPlan, write_environment: Callable[[], None]) -> LaunchPlan:
        """With the spec and the environment of the run mounted."""
        write_json(self.folder / specification_file(self.cell), masked(ModelSpec.of(self.cell).to_dict()), redact=self._redact)
        write_environment()
        return with_documents(plan, self.cell, self.folder)

    def served_from(self) -> dict[str, Any]:
        from hallmark.serving.docker.daemon import image_facts  # brings the Docker SDK

        return {"image": image_facts(self.container.image)}

    def _contained(self, launch: LaunchSettings, installed: Installed, *, closed: bool = True) -> LaunchPlan:
        """`closed`: the image itself admits nobody without a key; else a gateway on this machine stands before it."""
        if closed:
            return self._in_container(launch, key=self.keys.shown(), secrets=self.keys.variables(), installed=installed)
        return self._guarded(
            launch,
            lambda its: self._in_container(its, key=its.api_key, secrets={"VLLM_API_KEY": its.api_key}, installed=installed),
        )

    def _in_container(self, launch: LaunchSettings, *, key: str, secrets: Mapping[str, str], installed: Installed) -> LaunchPlan:
        inside = replace(launch, host=HOST, port=PORT, api_key=key)
        ask: Installed = installed if installed is asked_at_start else lambda _: installed({})
        # Which interpreter starts it is the image's business.
        plan = self._make_plan(inside, Path("python3"), ask)
        others = {name: self._environ.get(name, "") for name in ("HF_TOKEN", STOP_GRACE_VARIABLE)}
        variables = {name: value for name, value in {**secrets, **others}.items() if value}
        return in_container(plan, self.container, cell=self.cell, host=launch.host, port=launch.port, others=variables)

    def _ask(self, program: str, env: Mapping[str, str], *names: str) -> str:
        """What the text of a collector prints inside, with the devices of the server's container where they are here."""
        from hallmark.serving.docker.once import run_in_image  # brings the Docker SDK

        inside = "/tmp/hallmark_collector.py"  # noqa: S108 - in a container of its own
        files = {inside: program}
        container = self.container if self._device_here else without_devices(self.container)
        return run_in_image(container, ["python3", "-I", inside, *names], env=env, files=files)
