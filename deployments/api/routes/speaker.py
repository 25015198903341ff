"""A voice as a vector, and whether two voices are one speaker's."""

from dataclasses import replace

from fastapi import APIRouter

from deployments.api.compat.embedding_files import read_embedding
from deployments.api.documentation import takes_form, takes_recording
from deployments.api.options import ComparisonOptions, EmbeddingOptions
from deployments.api.routes import AnalyzerDep
from deployments.api.schemas.answers import EmbeddingAnswer, VoiceAnswer
from deployments.api.schemas.comparison import ComparisonAnswer
from deployments.api.upload import AudioUpload, EmbeddingUpload, UploadPair, measured
from pipelines.routing import encoder_named
from voxgraph.similarity import compare as compare_voices

router = APIRouter(tags=["speaker"])


@router.post("/extract-embedding", openapi_extra=takes_recording())
async def extract_embedding(upload: AudioUpload, analyzer: AnalyzerDep) -> VoiceAnswer:
    """A voice as 192 numbers; the language spoken decides the encoder, and the answer names both."""
    return VoiceAnswer.from_result(await analyzer.embed(await upload.decode()))


@router.post("/embedding", openapi_extra=takes_recording(EmbeddingOptions))
async def embedding(upload: AudioUpload, analyzer: AnalyzerDep) -> EmbeddingAnswer:
    """A voice as 192 numbers, scaled to length 1 unless told otherwise."""
    options = upload.options(EmbeddingOptions)
    result = await analyzer.embed(await upload.decode())
    info = await analyzer.info(encoder_named(result.embedding.model))
    return EmbeddingAnswer.from_result(result, options.normalize, measured(info, upload))


@router.post("/compare", openapi_extra=takes_form(("file1", "file2"), ComparisonOptions))
async def compare(uploads: UploadPair, analyzer: AnalyzerDep) -> ComparisonAnswer:
    """Whether two recordings are of one speaker; one encoder embeds both."""
    threshold = uploads[0].options(ComparisonOptions).threshold
    first, second = await analyzer.embed_pair(*[await upload.decode() for upload in uploads])
    info = await analyzer.info(encoder_named(first.embedding.model))
    comparison = compare_voices(first.embedding, second.embedding, threshold)
    return ComparisonAnswer.from_result(comparison, measured(info, *uploads))


@router.post("/compare_embedding", openapi_extra=takes_form(("audio", "embedding"), ComparisonOptions))
async def compare_embedding(sent: EmbeddingUpload, analyzer: AnalyzerDep) -> ComparisonAnswer:
    """Whether a recording is of the speaker of an embedding.

    The embedding is .npy, .npz, .json, safetensors, or a pickle of numbers and nothing else. One that names
    its model is compared in that model's space; one that does not is taken to be of the recording's.
    """
    upload, data = sent
    threshold = upload.options(ComparisonOptions).threshold
    known = read_embedding(data)
    encoder = None if known.model is None else encoder_named(known.model)
    found = (await analyzer.embed(await upload.decode(), encoder)).embedding
    stored = replace(found, vector=known.vector, revision=known.revision or found.revision)
    info = await analyzer.info(encoder_named(found.model))
    return ComparisonAnswer.from_result(compare_voices(found, stored, threshold), measured(info, upload))
