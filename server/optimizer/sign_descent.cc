#include "server/optimizer/sign_descent.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <c10/util/Exception.h>

namespace lifescope {

void SignStep(double learning_rate, const at::Tensor& gradient, at::Tensor& parameter) {
  TORCH_CHECK_VALUE(gradient.sizes() == parameter.sizes(), "sign descent: the gradient has shape ", gradient.sizes(),
                    ", expected that of the parameter, ", parameter.sizes());
  const c10::NoGradGuard no_grad;
  parameter.sub_(gradient.sign(), learning_rate);
}

}  // namespace lifescope
