"""Names of GPU kernels as profiles published by others show them: whose, which tile, how sums over K are divided."""

import pytest

from isobatch.models.pytorch.device.kernel_names import computes, in_words

CUTLASS3 = (
    "cutlass3x_sm90_tensorop_s64x128x16gemm_bf16_bf16_f32_bf16_bf16_128x128x64_2x1x1_0_nnn_align8_stream_k_"
    "warpspecialized_cooperative_epi_tma"
)
SEGMENT_OFF = (
    "sm90_xmma_gemm_bf16bf16_bf16f32_f32_tn_n_tilesize128x128x64_warpgroupsize1x1x1_execute_segment_k_off_kernel__"
    "5x_cublas"
)
SM80 = (
    "sm80_xmma_gemm_f32f32_f32f32_f32_nn_n_tilesize32x32x8_stage3_warpsize1x2x1_ffma_aligna4_alignc4_execute_"
    "split_k_kernel__5x_cublas"
)


@pytest.mark.parametrize(
    ("name", "library", "tile", "reduction"),
    [
        ("ampere_sgemm_32x32_sliced1x4_nn", "cuBLAS", "32x32", "sliced-K 1x4"),
        ("ampere_sgemm_128x64_tn", "cuBLAS", "128x64", ""),
        ("volta_sgemm_128x64_tn", "cuBLAS", "128x64", ""),
        ("ampere_bf16_s16816gemm_bf16_128x64_ldg8_f2f_stages_32x6_tn", "cuBLAS", "128x64", ""),
        (SM80, "cuBLAS", "32x32x8", "split-K"),
        (SEGMENT_OFF, "cuBLAS", "128x128x64", ""),
        ("nvjet_tst_64x8_64x16_4x1_v_bz_splitK_TNT", "cuBLAS", "64x8", "split-K"),
        ("nvjet_tst_128x256_64x4_2x1_v_bz_TNT", "cuBLAS", "128x256", ""),
        (
            "void cublasLt::splitKreduce_kernel<32, 16, int, float, float, float, float, true, true, false>"
            "(cublasLt::cublasSplitKParams<float>, float const*, float const*, float*)",
            "cuBLAS",
            "",
            "split-K",
        ),
        (
            "void gemv2T_kernel_val<int, int, float, float, float, 128, 16, 2, 2, false, false, "
            "cublasGemvParams<cublasGemvTensorStridedBatched<float const>, float> >(cublasGemvParams<float>)",
            "cuBLAS",
            "",
            "",
        ),
        ("std::enable_if<!(false), void>::type internal::gemvx::kernel<int, int, float>", "cuBLAS", "", ""),
        (
            "void cutlass::Kernel2<cutlass_80_tensorop_s1688gemm_128x256_16x3_nn_align4>"
            "(cutlass_80_tensorop_s1688gemm_128x256_16x3_nn_align4::Params)",
            "CUTLASS",
            "128x256",
            "",
        ),
        (CUTLASS3, "CUTLASS", "128x128x64", "stream-K"),
        ("cutlass_80_tensorop_f16_s16816gemm_f16_128x128_32x4_tn_align8_stream_k", "CUTLASS", "128x128", "stream-K"),
        ("void implicit_convolve_sgemm<float, float, 1024, 5, 5, 3, 3, 3, 1, false, false, true>", "cuDNN", "", ""),
        ("void cudnn::detail::implicit_convolve_sgemm<float, float, 128, 6, 7>(int, int)", "cuDNN", "", ""),
        (
            "void cudnn::winograd::generateWinogradTilesKernel<0, float, float>"
            "(cudnn::winograd::GenerateWinogradTilesParams<float, float>)",
            "cuDNN",
            "",
            "",
        ),
        ("ampere_scudnn_winograd_128x128_ldg1_ldg4_relu_tile148t_nt_v1", "cuDNN", "128x128", ""),
        ("volta_scudnn_128x64_relu_interior_nn_v1", "cuDNN", "128x64", ""),
        (
            "void cutlass__5x_cudnn::Kernel<cutlass_tensorop_f16_s16816fprop_optimized_f16_64x64_64x5_nhwc_align8>",
            "cuDNN",
            "64x64",
            "",
        ),
        (
            "void at::native::vectorized_elementwise_kernel<4, at::native::CUDAFunctor_add<float>>(int)",
            "ATen",
            "",
            "",
        ),
        ("fmha_cutlassF_f32_aligned_64x64_rf_sm80", "FlashAttention", "64x64", ""),
        ("triton_poi_fused_relu_0", "Triton", "", ""),
        ("aten::mkldnn_convolution", "ATen", "", ""),
        ("my_own_kernel(float*)", "", "", ""),
    ],
)
def test_a_published_name_is_read(name: str, library: str, tile: str, reduction: str) -> None:
    told = in_words(name)
    behind = "".join(f", {part}" for part in (tile and f"tile {tile}", reduction) if part)
    assert told.startswith(f"{library} ") if library else told == "my_own_kernel"
    assert told.endswith(behind) and (", tile " in told, "-K" in told) == (bool(tile), bool(reduction))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("ampere_sgemm_32x32_sliced1x4_nn", "cuBLAS ampere_sgemm_32x32_sliced1x4_nn, tile 32x32, sliced-K 1x4"),
        (
            "void implicit_convolve_sgemm<float, float, (int)1024, (int)5, (bool)0>(int, float const*)",
            "cuDNN implicit_convolve_sgemm<1024, 5, 0>",
        ),
        ("void cublasLt::splitKreduce_kernel<32, 16, int, float>(int)", "cuBLAS splitKreduce_kernel<32, 16>, split-K"),
        (
            "void at::native::(anonymous namespace)::reduce_kernel<512, 1, at::native::ReduceOp<float, 4> >(int)",
            "ATen reduce_kernel<512, 1>",
        ),
        ("std::enable_if<!(false), void>::type internal::gemvx::kernel<int, float, 5>", "cuBLAS gemvx::kernel<5>"),
        ("my_own_kernel(float*, int)", "my_own_kernel"),
    ],
)
def test_what_tells_kernels_apart_is_kept(name: str, text: str) -> None:
    assert in_words(name) == text


def test_two_tilings_of_one_function_are_two_kernels() -> None:
    one, other = (f"void implicit_convolve_sgemm<float, float, {n}, 5, 5, 3, 3, 3, 1>(int)" for n in (128, 1024))
    assert in_words(one) != in_words(other)


@pytest.mark.parametrize(
    "name",
    [
        "Memcpy DtoD (Device -> Device)",
        "Memset (Device)",
        "void cudnn::ops::nchwToNhwcKernel<float, float, float, false, true, (cudnnKernelDataType_t)2>(float*)",
        "void cudnn::engines_precompiled::nhwcToNchwKernel<__half, __half, float>",
        "aten::as_strided",
        "aten::t",
    ],
)
def test_what_only_moves_data_is_no_arithmetic(name: str) -> None:
    assert not computes(name)


def test_what_computes_counts() -> None:
    for name in ("aten::tanh", "aten::relu_", "ampere_sgemm_128x64_tn", "void cublasLt::splitKreduce_kernel<32>"):
        assert computes(name)
