"""Endpoints that embed a voice or compare two voices."""

from dataclasses import replace

from fastapi import APIRouter

from deployments.api.compat.embedding_files import read_embedding
from deployments.api.dependencies import AnalyzerDep
from deployments.api.documentation import takes_form, takes_recording
from deployments.api.options import ComparisonOptions, EmbeddingOptions, RoutingOptions, VerificationOptions
from deployments.api.schemas.comparison import PairComparisonAnswer, StoredComparisonAnswer
from deployments.api.schemas.voice import EmbeddingAnswer, NotedVoiceAnswer
from deployments.api.service import GraphAnalyzer
from deployments.api.upload import AudioUpload, EmbeddingUpload, UploadPair, processing_info
from pipelines.routing import encoder_by_hub_id
from voxgraph.options import ModelKey
from voxgraph.similarity import compare as compare_voices

router = APIRouter(tags=["speaker"])


@router.post("/extract-embedding", openapi_extra=takes_recording(RoutingOptions))
async def extract_embedding(upload: AudioUpload, analyzer: AnalyzerDep) -> NotedVoiceAnswer:
    """Embed a voice as 192 numbers; the spoken language selects the encoder unless `encoder` names one."""
    options = upload.options(RoutingOptions)
    result = await analyzer.embed(await upload.decode(options), *_asked(options))
    return NotedVoiceAnswer.from_result(result, quality=upload.quality(result.speech_s))


@router.post("/embedding", openapi_extra=takes_recording(EmbeddingOptions))
async def embedding(upload: AudioUpload, analyzer: AnalyzerDep) -> EmbeddingAnswer:
    """Embed a voice as 192 numbers, scaled to length 1 unless `normalize` is false."""
    options = upload.options(EmbeddingOptions)
    result = await analyzer.embed(await upload.decode(options), *_asked(options))
    info = await analyzer.info(encoder_by_hub_id(result.embedding.model))
    return EmbeddingAnswer.from_result(
        result,
        options.normalize,
        quality=upload.quality(result.speech_s),
        **processing_info(info, upload).model_dump(),
    )


@router.post("/compare", openapi_extra=takes_form(("file1", "file2"), ComparisonOptions))
async def compare(uploads: UploadPair, analyzer: AnalyzerDep) -> PairComparisonAnswer:
    """Compare the speakers of two recordings; one encoder embeds both."""
    return await _comparison(uploads, analyzer, uploads[0].options(ComparisonOptions))


@router.post("/v1/speaker/compare", openapi_extra=takes_form(("file1", "file2"), VerificationOptions))
async def verify(uploads: UploadPair, analyzer: AnalyzerDep) -> PairComparisonAnswer:
    """Compare the speakers of two recordings, by default with the calibrated threshold of the encoder."""
    return await _comparison(uploads, analyzer, uploads[0].options(VerificationOptions))


@router.post("/compare_embedding", openapi_extra=takes_form(("audio", "embedding"), ComparisonOptions))
async def compare_embedding(parts: EmbeddingUpload, analyzer: AnalyzerDep) -> StoredComparisonAnswer:
    """Compare the speaker of a recording with a stored embedding.

    The embedding is .npy, .npz, .json, safetensors, or a pickle of numbers and nothing else. If it names its
    model, the recording is embedded with that model; if not, the embedding is taken to be from `encoder`, or
    else from the encoder that the recording's language selects.
    """
    upload, data = parts
    options = upload.options(ComparisonOptions)
    file = read_embedding(data)
    named = None if file.model is None else encoder_by_hub_id(file.model)
    encoder = options.encoder_key or named
    waveform = await upload.decode(options)
    result = await analyzer.embed(waveform, encoder, options.languages, options.allow_no_speech)
    computed = result.embedding
    stored = replace(
        computed,
        vector=file.vector,
        model=file.model or computed.model,
        revision=file.revision or computed.revision,
    )
    info = await analyzer.info(encoder_by_hub_id(computed.model))
    comparison = compare_voices(computed, stored, options.threshold, info.same_speaker)
    return StoredComparisonAnswer.from_result(
        comparison, quality=upload.quality(result.speech_s), **processing_info(info, upload).model_dump()
    )


async def _comparison(
    uploads: UploadPair, analyzer: GraphAnalyzer, options: ComparisonOptions | VerificationOptions
) -> PairComparisonAnswer:
    one, other = [await upload.decode(options) for upload in uploads]
    first, second = await analyzer.embed_pair(one, other, *_asked(options))
    info = await analyzer.info(encoder_by_hub_id(first.embedding.model))
    comparison = compare_voices(first.embedding, second.embedding, options.threshold, info.same_speaker)
    return PairComparisonAnswer.from_result(
        comparison,
        quality1=uploads[0].quality(first.speech_s),
        quality2=uploads[1].quality(second.speech_s),
        **processing_info(info, *uploads).model_dump(),
    )


def _asked(options: RoutingOptions) -> tuple[ModelKey | None, tuple[str, ...], bool]:
    """Return the arguments of the question besides the recording."""
    return options.encoder_key, options.languages, options.allow_no_speech
