"""What POST /prompt says to a graph, as recorded (03_prompt_validation.json): kinds, words and shapes of the errors."""

from __future__ import annotations

from typing import Any

Graph = dict[str, dict[str, Any]]
Answer = dict[str, Any]
LIMITS = (("min", "value_smaller_than_min", "smaller than min"), ("max", "value_bigger_than_max", "bigger than max"))


class Validation:
    """Of one graph against these nodes and these uploads."""

    def __init__(self, graph: Graph, object_info: dict[str, Any], uploads: set[str]) -> None:
        self._graph = graph
        self._nodes = object_info
        self._uploads = uploads
        self.errors: dict[str, list[Answer]] = {}
        self._outputs: list[str] = []
        self.good: list[str] = []
        """Output nodes that can run."""

    def run(self) -> Answer | None:
        """None: at least a part can run; otherwise the `error` to answer with status 400."""
        for name, node in self._graph.items():
            if "class_type" not in node:
                message = "Cannot execute because a node is missing the class_type property."
                return _error("invalid_prompt", message, f"Node ID '#{name}'")
            if node["class_type"] not in self._nodes:
                message = f"Cannot execute because node {node['class_type']} does not exist."
                return _error("invalid_prompt", message, f"Node ID '#{name}'")
        self._outputs = [n for n, node in self._graph.items() if self._nodes[node["class_type"]]["output_node"]]
        if not self._outputs:
            return _error("prompt_no_outputs", "Prompt has no outputs", "")
        self.good = [name for name in self._outputs if self._valid(name, set())]
        if self.good:
            return None
        return _error("prompt_outputs_failed_validation", "Prompt outputs failed validation", "")

    def node_errors(self) -> Answer:
        bad = [name for name in self._outputs if name not in self.good]
        return {
            name: {"errors": errors, "dependent_outputs": bad, "class_type": self._graph[name]["class_type"]}
            for name, errors in self.errors.items()
            if errors
        }

    def _valid(self, name: str, above: set[str]) -> bool:
        node = self._graph[name]
        errors = self.errors.setdefault(name, [])
        told = self._nodes[node["class_type"]]["input"]
        sound = not errors
        for group in ("required", "optional"):
            for key, spec in told.get(group, {}).items():
                if key not in node["inputs"]:
                    if group == "required":
                        errors.append(_input_error("required_input_missing", "Required input is missing", key, key))
                    continue
                value = node["inputs"][key]
                if isinstance(value, list):
                    sound = self._link_valid(name, key, value, spec, above) and sound
                else:
                    errors += self._value_errors(node["class_type"], key, value, spec)
        return sound and not errors

    def _link_valid(self, name: str, key: str, link: list[Any], spec: list[Any], above: set[str]) -> bool:
        source = self._graph.get(link[0])
        if source is None or link[0] in above:
            message = "Exception when validating inner node"
            self.errors[name].append(_input_error("exception_during_inner_validation", message, f"'{link[0]}'", key))
            return False
        given = self._nodes[source["class_type"]]["output"][link[1]]
        if isinstance(spec[0], str) and "*" not in (given, spec[0]) and given != spec[0]:
            details = f"{key}, received_type({given}) mismatch input_type({spec[0]})"
            message = "Return type mismatch between linked nodes"
            self.errors[name].append(_input_error("return_type_mismatch", message, details, key))
            return False
        return self._valid(link[0], above | {name})

    def _value_errors(self, class_type: str, key: str, value: Any, spec: list[Any]) -> list[Answer]:
        more = spec[1] if len(spec) > 1 else {}
        if more.get("image_upload"):
            if value in self._uploads:
                return []
            details = f"image - Invalid image file: {value}"
            return [_input_error("custom_validation_failed", "Custom validation failed for node", details, key)]
        choices = spec[0] if isinstance(spec[0], list) else more.get("options")
        if choices is not None:
            if value in choices:
                return []
            return [_input_error("value_not_in_list", "Value not in list", f"{key}: '{value}' not in {choices}", key)]
        if spec[0] in ("INT", "FLOAT"):
            try:
                number = int(value) if spec[0] == "INT" else float(value)
            except (TypeError, ValueError) as error:
                message = f"Failed to convert an input value to a {spec[0]} value"
                return [_input_error("invalid_input_type", message, f"{key}, {value}, {error}", key)]
            for limit, kind, said in LIMITS:
                if limit in more and (number < more[limit] if limit == "min" else number > more[limit]):
                    return [_input_error(kind, f"Value {number} {said} of {more[limit]}", key, key)]
        return []


def _error(kind: str, message: str, details: str) -> Answer:
    return {"type": kind, "message": message, "details": details, "extra_info": {}}


def _input_error(kind: str, message: str, details: str, key: str) -> Answer:
    return {"type": kind, "message": message, "details": details, "extra_info": {"input_name": key}}
