"""The classes of nodes that a workflow may use.

A graph is a program, and a node may do whatever its author liked. These are nodes of ComfyUI itself that only
compute, load model files by a name from ComfyUI's own list, read an upload, or save below the output folder. None
runs code or commands, opens an address, or takes a path. A workflow with any other class is never posted.
"""

from __future__ import annotations

MODEL_FILES: dict[str, dict[str, str]] = {
    "CheckpointLoaderSimple": {"ckpt_name": "checkpoints"},
    "CLIPLoader": {"clip_name": "text_encoders"},
    "CLIPVisionLoader": {"clip_name": "clip_vision"},
    "ControlNetLoader": {"control_net_name": "controlnet"},
    "DualCLIPLoader": {"clip_name1": "text_encoders", "clip_name2": "text_encoders"},
    "LoraLoader": {"lora_name": "loras"},
    "LoraLoaderModelOnly": {"lora_name": "loras"},
    "TripleCLIPLoader": dict.fromkeys(("clip_name1", "clip_name2", "clip_name3"), "text_encoders"),
    "UNETLoader": {"unet_name": "diffusion_models"},
    "UpscaleModelLoader": {"model_name": "upscale_models"},
    "VAELoader": {"vae_name": "vae"},
}
"""The inputs that name a file, and the folder it lies in."""

LOADERS = frozenset(MODEL_FILES)
"""Bring models into memory, which takes long and shows no progress."""

SAMPLERS = frozenset("KSampler KSamplerAdvanced SamplerCustom SamplerCustomAdvanced".split())
"""Do nearly all of the work, step by step."""

SAVERS = frozenset("PreviewImage SaveAnimatedWEBP SaveImage SaveVideo SaveWEBM".split())

_COMPUTING = frozenset(
    """
    AlignYourStepsScheduler BasicGuider BasicScheduler CFGGuider CLIPSetLastLayer CLIPTextEncode CLIPTextEncodeFlux
    CLIPTextEncodeSD3 CLIPTextEncodeSDXL CLIPVisionEncode ConditioningAverage ConditioningCombine ConditioningConcat
    ConditioningSetArea ConditioningSetMask ConditioningZeroOut ControlNetApplyAdvanced CreateVideo DisableNoise
    EmptyHunyuanLatentVideo EmptyLTXVLatentVideo EmptyLatentImage EmptySD3LatentImage FeatherMask FluxGuidance
    GrowMask ImageBatch ImageCrop ImageInvert ImagePadForOutpaint ImageScale ImageScaleBy ImageScaleToTotalPixels
    ImageToMask ImageUpscaleWithModel InpaintModelConditioning InvertMask KSamplerSelect KarrasScheduler LTXVAddGuide
    LTXVConditioning LTXVCropGuides LTXVImgToVideo LTXVPreprocess LTXVScheduler LatentUpscale LatentUpscaleBy LoadImage
    LoadImageMask MaskToImage ModelSamplingDiscrete ModelSamplingFlux ModelSamplingSD3 PerturbedAttentionGuidance
    RandomNoise RepeatLatentBatch SetLatentNoiseMask SkipLayerGuidanceSD3 SplitSigmas VAEDecode VAEDecodeTiled
    VAEEncode VAEEncodeForInpaint VAEEncodeTiled Wan22ImageToVideoLatent WanImageToVideo
    """.split()
)

ALLOWED = LOADERS | SAMPLERS | SAVERS | _COMPUTING
