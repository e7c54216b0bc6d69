"""Model files on a GPU owner's disk: what is missing, how it gets here, whether it is what it should be, what can go.

Lists of weights (`control_plane.wire.weights`) say of each file its size, hash, sources and licence. `plan` compares
them with the disk, purely; `folders` knows where ComfyUI keeps them; `pull` loads a file into a `part` beside its
place, checks that it is one of tensors and nothing else (`safetensors`) and that its hash is the one listed, and only
then gives it its name. A model file from a stranger is code waiting to be run, and a licence is a contract: so nothing
without a known hash and nothing under a licence that nobody accepted (`licence`) comes in by itself.
"""
