#include "server/training/pretrainer.h"

#include <ATen/core/Tensor.h>
#include <c10/util/Exception.h>

#include <charconv>
#include <chrono>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>

#include "server/artifact/artifact.h"
#include "server/artifact/file_lock.h"
#include "server/artifact/safetensors.h"
#include "server/training/learning_curve.h"
#include "server/training/pretrain_run.h"

namespace lifescope {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

// Metadata of a checkpoint.
constexpr char kOptions[] = "options", kCorpus[] = "corpus", kRunId[] = "run_id", kStep[] = "step";
// They decide how often a run is saved, not what comes out.
constexpr char kCheckpointInterval[] = "checkpoint_interval";

// The hidden files of a run beside its model folder.
struct RunFiles {
  explicit RunFiles(const std::string& model_folder)
      : model(fs::absolute(model_folder)),
        checkpoint(HiddenBeside(model, ".checkpoint.safetensors")),
        losses(HiddenBeside(model, ".loss.csv")),
        lock(HiddenBeside(model, ".lock")) {}

  const fs::path model;
  const std::string checkpoint, losses, lock;
};

double SecondsSince(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

void SaveCheckpoint(const RunFiles& files, const PretrainRun& run, const Corpus& corpus, const PretrainOptions& options,
                    const std::string& run_id) {
  WriteSafetensors(files.checkpoint, run.State(),
                   {{kOptions, ToJson(options)},
                    {kCorpus, corpus.digest()},
                    {kRunId, run_id},
                    {kStep, std::to_string(run.step_count())}});
}

const std::string& Metadata(const SafetensorsFile& file, const std::string& name) {
  const auto found = file.metadata().find(name);
  TORCH_CHECK_VALUE(found != file.metadata().end(), file.path(), ": no metadata '", name,
                    "', expected a checkpoint of pretrain");
  return found->second;
}

SafetensorsFile OpenCheckpoint(const RunFiles& files) {
  TORCH_CHECK_VALUE(fs::exists(files.checkpoint), "resume: no checkpoint ", files.checkpoint);
  return SafetensorsFile::Open(files.checkpoint);
}

void LoadCheckpoint(const RunFiles& files, const Corpus& corpus, const PretrainOptions& options, PretrainRun& run) {
  const SafetensorsFile file = OpenCheckpoint(files);
  TORCH_CHECK_VALUE(Metadata(file, kCorpus) == corpus.digest(), "resume: the stopped run had the corpus ",
                    Metadata(file, kCorpus), ", this one has ", corpus.digest());
  const auto stored = nlohmann::json::parse(Metadata(file, kOptions), nullptr, /*allow_exceptions=*/false);
  const nlohmann::json expected_options = nlohmann::json::parse(ToJson(options));
  for (const auto& [name, expected] : expected_options.items()) {
    const nlohmann::json found = stored.is_object() ? stored.value(name, nlohmann::json()) : nlohmann::json();
    TORCH_CHECK_VALUE(found == expected || name == kCheckpointInterval, "resume: the stopped run had ", name, " ",
                      found.dump(), ", this one has ", expected.dump());
  }
  run.Restore(ReadState(file));
}

void WriteModel(const std::string& folder, const std::map<std::string, at::Tensor>& weights, const PretrainRun& run,
                const Corpus& corpus) {
  fs::create_directories(folder);
  WriteSafetensors(folder + "/model.safetensors", weights);
  WriteFileAtomically(folder + "/hparams.json", run.hyperparameters().ToJson());
  WriteFileAtomically(folder + "/vocab.tsv", corpus.vocabulary().ToTsv());
}

// The checkpoint goes last: as long as it is there, the run can be resumed.
void RemoveRunFiles(const RunFiles& files) {
  fs::remove(files.losses);
  fs::remove(files.checkpoint);
}

void Publish(const RunFiles& files, const PretrainRun& run, const Corpus& corpus) {
  WriteFolderAtomically(files.model, [&](const std::string& partial) {
    WriteModel(partial, run.Last(), run, corpus);
    WriteModel(partial + "/best", run.Best(), run, corpus);
    WriteFileAtomically(partial + "/loss.csv", ReadFile(files.losses));
    WriteFileAtomically(partial + "/curve.svg",
                        LearningCurve(files.model.filename(), ReadLossLog(files.losses), run.unigram_loss()));
  });
  RemoveRunFiles(files);
}

// A run that was killed after its model had become visible: removes its files. The result has no times.
PretrainResult FinishPublished(const RunFiles& files, const PretrainOptions& options, const PretrainRun& run) {
  const std::string path = files.model / "loss.csv";
  const std::vector<LossLine> lines = ReadLossLog(path);
  const bool is_of_run = static_cast<int64_t>(lines.size()) == options.steps &&
                         (!fs::exists(files.losses) || ReadFile(files.losses) == ReadFile(path));
  TORCH_CHECK_VALUE(is_of_run, files.model.string(), " exists and is not of the stopped run ", files.checkpoint);
  PretrainResult result;
  result.unigram_loss = run.unigram_loss();
  for (const LossLine& line : lines) {
    if (!line.validation_mlm_loss) continue;
    result.validation_mlm_loss = *line.validation_mlm_loss;
    if (result.best_step > 0 && result.best_validation_loss <= *line.validation_mlm_loss) continue;
    result.best_validation_loss = *line.validation_mlm_loss;
    result.best_step = line.step;
  }
  RemoveRunFiles(files);
  return result;
}

PretrainResult ResultOf(const PretrainRun& run, double tokens_per_second, double seconds) {
  return {run.last_validation_loss(), run.best_validation_loss(), run.best_step(),
          run.unigram_loss(),         tokens_per_second,          seconds};
}

// The next step, with its validation and its line in the log.
LossLine TakeStep(const PretrainOptions& options, PretrainRun& run, LossLog& log, int64_t* tokens) {
  const PretrainStep step = run.Step();
  *tokens += step.token_count;
  LossLine line{run.step_count(), step.learning_rate, step.loss, step.mlm_loss, step.sop_loss, std::nullopt};
  const bool validate = line.step == options.steps || line.step % options.validation_interval == 0;
  if (validate) line.validation_mlm_loss = run.Validate();
  log.Append(line);
  return line;
}

}  // namespace

PretrainResult Pretrain(const Corpus& corpus, const std::string& model_folder, const PretrainOptions& options,
                        const std::function<bool(const PretrainProgress&)>& on_progress,
                        const PretrainSession& session) {
  const RunFiles files(model_folder);
  // Two runs of one name would replace each other's files.
  const FileLock lock(files.lock, files.model.string() + ": another process is training it");
  RemoveTemporaries(files.checkpoint);
  RemoveTemporaries(files.losses);
  const bool is_published = fs::exists(files.model);
  TORCH_CHECK_VALUE(!is_published || (session.resume && fs::exists(files.checkpoint)), model_folder,
                    " exists: a model is never overwritten");
  PretrainRun run(corpus, options);
  const auto save = [&] { SaveCheckpoint(files, run, corpus, options, session.run_id); };
  if (session.resume) {
    LoadCheckpoint(files, corpus, options, run);
    if (is_published) return FinishPublished(files, options, run);
  } else {
    TORCH_CHECK_VALUE(!fs::exists(files.checkpoint), "an unfinished run of this name left ", files.checkpoint,
                      ": resume it, or remove that file");
    save();
  }
  LossLog log(files.losses, run.step_count());

  const Clock::time_point start = Clock::now();
  int64_t tokens = 0;
  const auto tokens_per_second = [&] { return static_cast<double>(tokens) / SecondsSince(start); };
  while (run.step_count() < options.steps) {
    const LossLine line = TakeStep(options, run, log, &tokens);
    const bool is_last = line.step == options.steps;
    const bool is_kept = is_last || line.step % options.checkpoint_interval == 0;
    const bool goes_on = !on_progress || on_progress({line, options.steps, run.last_validation_loss(),
                                                      run.unigram_loss(), tokens_per_second(), is_kept});
    if (is_last) break;
    if (is_kept || !goes_on) {
      log.Sync();
      save();
    }
    if (!goes_on) return ResultOf(run, tokens_per_second(), -1);
  }
  const PretrainResult result = ResultOf(run, tokens_per_second(), SecondsSince(start));
  Publish(files, run, corpus);
  return result;
}

StoppedRun FindStoppedRun(const std::string& model_folder) {
  const SafetensorsFile file = OpenCheckpoint(RunFiles(model_folder));
  const std::string& text = Metadata(file, kStep);
  StoppedRun stopped{Metadata(file, kRunId), 0};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), stopped.step);
  TORCH_CHECK_VALUE(error == std::errc() && end == text.data() + text.size(), file.path(), ": metadata '", kStep,
                    "' is '", text, "', expected a whole number");
  return stopped;
}

}  // namespace lifescope
