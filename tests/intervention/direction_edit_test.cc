// Edits along a direction, against the projection written out.
#include <gtest/gtest.h>

#include <functional>

#include "tests/intervention/small_run.h"

namespace lifescope {
namespace {

constexpr char kPoint[] = "blocks.1.hook_resid_post";
constexpr double kNear = 1e-12;

std::vector<double> Vector() {
  std::vector<double> vector;
  for (int i = 0; i < 16; ++i) vector.push_back(0.5 * ((i * 7) % 5) - 1);
  return vector;
}

at::Tensor Direction() {
  const at::Tensor v = at::tensor(Vector(), at::kDouble);
  return v / v.square().sum().sqrt();
}

// x [positions, 16] with its projection [positions] on the direction replaced.
at::Tensor WithProjection(const at::Tensor& x, const at::Tensor& projection) {
  const at::Tensor rest = x - at::outer(x.matmul(Direction()), Direction());
  return rest + at::outer(projection, Direction());
}

struct Outcome {
  std::vector<at::Tensor> clean;  // of every document
  at::Tensor edited;              // document 1
};

Outcome RunEdit(EditMode mode, Positions positions = {}) {
  lifescope::Run run = DeepRun();
  const int64_t read = AddActivationRead(&run, kPoint);
  AddIntervention(&run,
                  {MakeEdit(DirectionTarget{Point(kPoint), Vector()}, std::move(mode), std::move(positions), {1})});
  const RunResult result = Execute(run, DeepModel());
  Outcome outcome;
  for (const DocumentResult& document : result.clean) outcome.clean.push_back(TensorOf(document, read));
  outcome.edited = TensorOf(result.interventions[0].documents[0], read);
  return outcome;
}

struct Case {
  const char* name;
  EditMode mode;
  std::function<at::Tensor(const at::Tensor& projection)> expected;
};

void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

class DirectionMode : public ::testing::TestWithParam<Case> {};

TEST_P(DirectionMode, ChangesTheProjectionAndNothingElse) {
  const Outcome o = RunEdit(GetParam().mode);
  const at::Tensor projection = o.clean[1].matmul(Direction());
  ExpectNear(o.edited, WithProjection(o.clean[1], GetParam().expected(projection)), kNear);
  EXPECT_FALSE(SameBits(o.edited, o.clean[1]));
}

INSTANTIATE_TEST_SUITE_P(
    All, DirectionMode,
    ::testing::Values(Case{"ProjectOut", Zero{}, [](const at::Tensor& p) { return at::zeros_like(p); }},
                      Case{"Set", SetTo{{3}}, [](const at::Tensor& p) { return at::full_like(p, 3); }},
                      Case{"Add", Add{{2}}, [](const at::Tensor& p) { return p + 2; }},
                      Case{"Scale", Scale{-1}, [](const at::Tensor& p) { return -p; }}),
    [](const auto& info) { return std::string(info.param.name); });

TEST(DirectionEdit, MeanIsOfTheProjections) {
  const Outcome o = RunEdit(Mean{{0, 2}}, At({4}));
  const at::Tensor mean = at::cat({o.clean[0], o.clean[2]}).matmul(Direction()).mean();
  ExpectNear(o.edited[4], WithProjection(o.clean[1], mean.expand({31}))[4], kNear);
  EXPECT_TRUE(SameBits(o.edited[5], o.clean[1][5]));
}

TEST(DirectionEdit, DonorGivesItsProjection) {
  const Outcome o = RunEdit(Donor{0, At({9, 2})}, At({4, 6}));
  const at::Tensor donor = o.clean[0].matmul(Direction());
  const at::Tensor projection = o.clean[1].matmul(Direction());
  projection[4] = donor[9];
  projection[6] = donor[2];
  ExpectNear(o.edited, WithProjection(o.clean[1], projection), kNear);
}

// Between the 16th and the 17th of 31 projections.
double Middle(const at::Tensor& projection) {
  const at::Tensor sorted = std::get<0>(projection.sort(0));
  return (sorted[15] + sorted[16]).item<double>() / 2;
}

TEST(DirectionEdit, CapAndFloorBoundTheProjection) {
  const at::Tensor projection = RunEdit(Scale{1}).clean[1].matmul(Direction());
  const double bound = Middle(projection);
  const Outcome capped = RunEdit(Cap{{bound}}), floored = RunEdit(Floor{{bound}});
  ExpectNear(capped.edited, WithProjection(capped.clean[1], projection.clamp_max(bound)), kNear);
  ExpectNear(floored.edited, WithProjection(floored.clean[1], projection.clamp_min(bound)), kNear);
}

TEST(DirectionEdit, RowsThatItDoesNotChangeKeepTheirBits) {
  const Outcome same = RunEdit(Scale{1});
  EXPECT_TRUE(SameBits(same.edited, same.clean[1]));
  const at::Tensor projection = same.clean[1].matmul(Direction());
  const double bound = Middle(projection);
  const Outcome o = RunEdit(Cap{{bound}});
  int64_t kept = 0;
  for (int64_t position = 0; position < 31; ++position) {
    const bool is_capped = projection[position].item<double>() > bound;
    EXPECT_EQ(SameBits(o.edited[position], o.clean[1][position]), !is_capped) << position;
    kept += !is_capped;
  }
  EXPECT_EQ(kept, 16);
}

}  // namespace
}  // namespace lifescope
