// Every kernel of every instruction set that this machine has, against plain ATen in float64.
#include "server/vector/vector_kernels.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <type_traits>
#include <vector>

#include "tests/dictionary/random_tensors.h"

namespace lifescope {
namespace {

// Around the widths of all vectors and of the blocks that are tested at once.
const std::vector<int64_t> kSizes{0, 1, 3, 7, 8, 15, 16, 17, 31, 63, 64, 65, 127, 129, 255, 280, 300, 1024};

template <typename T>
class VectorKernelsTest : public testing::Test {
 protected:
  static constexpr at::ScalarType kDtype = std::is_same_v<T, float> ? at::kFloat : at::kDouble;
  static constexpr double kTolerance = std::is_same_v<T, float> ? 2e-5 : 1e-13;

  static void ForEachSet(const std::function<void(const VectorKernels<T>&)>& check) {
    for (const InstructionSet set : SupportedInstructionSets()) {
      SCOPED_TRACE("instruction set " + std::to_string(static_cast<int>(set)));
      check(KernelsOf<T>(set));
    }
  }
  static void ExpectClose(const at::Tensor& actual, const at::Tensor& expected) {
    EXPECT_TRUE(at::allclose(actual.to(at::kDouble), expected, kTolerance, kTolerance)) << actual << "\nexpected\n"
                                                                                        << expected;
  }
  at::Tensor Normal(at::IntArrayRef sizes) { return random_.Normal(sizes, kDtype); }

  RandomTensors random_{11};
};
using Types = testing::Types<float, double>;
TYPED_TEST_SUITE(VectorKernelsTest, Types);

TEST(InstructionSets, StartWithThePortableOneAndAscend) {
  const std::vector<InstructionSet>& sets = SupportedInstructionSets();
  EXPECT_EQ(sets.front(), InstructionSet::kPortable);
  for (size_t i = 1; i < sets.size(); ++i) EXPECT_LT(sets[i - 1], sets[i]);
}

TYPED_TEST(VectorKernelsTest, Dot) {
  using T = TypeParam;
  for (const int64_t n : kSizes) {
    const at::Tensor a = this->Normal({n}), b = this->Normal({n});
    const at::Tensor expected = a.to(at::kDouble).dot(b.to(at::kDouble));
    this->ForEachSet([&](const VectorKernels<T>& kernels) {
      this->ExpectClose(at::scalar_tensor(kernels.dot(a.data_ptr<T>(), b.data_ptr<T>(), n), at::kDouble), expected);
    });
  }
}

TYPED_TEST(VectorKernelsTest, AddScaledAndScale) {
  using T = TypeParam;
  for (const int64_t n : kSizes) {
    const at::Tensor in = this->Normal({n}), start = this->Normal({n});
    this->ForEachSet([&](const VectorKernels<T>& kernels) {
      at::Tensor out = start.clone();
      kernels.add_scaled(T(0.5), in.data_ptr<T>(), n, out.data_ptr<T>());
      this->ExpectClose(out, start.to(at::kDouble) + 0.5 * in.to(at::kDouble));
      kernels.scale(T(-3), n, out.data_ptr<T>());
      this->ExpectClose(out, -3 * (start.to(at::kDouble) + 0.5 * in.to(at::kDouble)));
    });
  }
}

TYPED_TEST(VectorKernelsTest, AddRows) {
  using T = TypeParam;
  for (const int64_t n : {1, 16, 33, 280}) {
    const at::Tensor matrix = this->Normal({9, n}), weights = this->Normal({7}), start = this->Normal({n});
    const std::vector<int32_t> rows{8, 0, 3, 3, 1, 7, 2};
    for (int64_t count = 0; count <= 7; ++count) {
      const at::Tensor chosen = at::tensor(rows).to(at::kLong).narrow(0, 0, count);
      const at::Tensor expected =
          start.to(at::kDouble) +
          weights.to(at::kDouble).narrow(0, 0, count).matmul(matrix.to(at::kDouble).index_select(0, chosen));
      this->ForEachSet([&](const VectorKernels<T>& kernels) {
        at::Tensor out = start.clone();
        kernels.add_rows(weights.data_ptr<T>(), rows.data(), count, matrix.data_ptr<T>(), n, out.data_ptr<T>());
        this->ExpectClose(out, expected);
      });
    }
  }
}

TYPED_TEST(VectorKernelsTest, FindAbove) {
  using T = TypeParam;
  for (const int64_t n : kSizes) {
    at::Tensor values = this->Normal({n});
    if (n > 6) {
      values[0] = std::numeric_limits<T>::quiet_NaN();
      values[1] = std::numeric_limits<T>::infinity();
      values[2] = -std::numeric_limits<T>::infinity();
      values[3] = std::numeric_limits<T>::denorm_min();
      values[4] = 0.0;
      values[5] = -0.0;
    }
    const at::Tensor bias = at::where(this->Normal({n}) > 0, this->Normal({n}), at::zeros_like(values));
    for (const double bound : {0.0, 1.5, -std::numeric_limits<double>::infinity()}) {
      // Bounds that some sums are equal to, which is not above.
      const at::Tensor bounds = at::where(this->Normal({n}) > 0, values + bias, at::full_like(values, bound));
      const auto expected = [&](const at::Tensor& limit) { return (values + bias > limit).nonzero().flatten(); };
      this->ForEachSet([&](const VectorKernels<T>& kernels) {
        std::vector<int32_t> found(n);
        const T* in = values.data_ptr<T>();
        found.resize(kernels.find_above(in, bias.data_ptr<T>(), static_cast<T>(bound), n, found.data()));
        EXPECT_TRUE(at::equal(at::tensor(found, at::kLong), expected(at::full_like(values, bound))));
        found.resize(n);
        found.resize(kernels.find_above_each(in, bias.data_ptr<T>(), bounds.data_ptr<T>(), n, found.data()));
        EXPECT_TRUE(at::equal(at::tensor(found, at::kLong), expected(bounds)));
      });
    }
  }
}

TYPED_TEST(VectorKernelsTest, Adam) {
  using T = TypeParam;
  const AdamFactors<double> f{0.99, 0.9, 0.1, 0.999, 0.001, 1 / std::sqrt(0.001), 1e-8, 0.01};
  const AdamFactors<T> factors{T(f.shrink),  T(f.beta1),           T(f.one_minus_beta1),
                               T(f.beta2),   T(f.one_minus_beta2), T(f.inverse_root_correction),
                               T(f.epsilon), T(f.step_size)};
  for (const int64_t n : kSizes) {
    const at::Tensor gradient = this->Normal({n}), parameter = this->Normal({n}), first = this->Normal({n});
    const at::Tensor second = this->Normal({n}).square();
    const at::Tensor g = gradient.to(at::kDouble);
    const at::Tensor next_first = first.to(at::kDouble) * f.beta1 + g * f.one_minus_beta1;
    const at::Tensor next_second = second.to(at::kDouble) * f.beta2 + g * g * f.one_minus_beta2;
    const at::Tensor expected = parameter.to(at::kDouble) * f.shrink -
                                f.step_size * next_first / (next_second.sqrt() * f.inverse_root_correction + f.epsilon);
    this->ForEachSet([&](const VectorKernels<T>& kernels) {
      at::Tensor p = parameter.clone(), m = first.clone(), v = second.clone();
      kernels.adam(factors, gradient.data_ptr<T>(), n, m.data_ptr<T>(), v.data_ptr<T>(), p.data_ptr<T>());
      this->ExpectClose(m, next_first);
      this->ExpectClose(v, next_second);
      this->ExpectClose(p, expected);
    });
  }
}

}  // namespace
}  // namespace lifescope
