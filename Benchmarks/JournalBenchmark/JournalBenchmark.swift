import BenchmarkHarness
import EmbeddedState
import Foundation
import Glibc
import Logging
import RuleEngine
import RuleLanguage

/// What durability costs: ingest with the journal beside the same server without it, replay, and a checkpoint of 100,000 instances with a window each.
///
/// `journal-benchmark [--json] [--quick] [ingest|replay|checkpoint…]`
@main
struct JournalBenchmark {
    static func main() {
        do {
            let arguments = CommandLine.arguments.dropFirst()
            let report = Report("journal", isJSON: arguments.contains("--json"))
            let isQuick = arguments.contains("--quick")
            let wanted = arguments.filter { !$0.hasPrefix("--") }
            func isWanted(_ name: String) -> Bool { wanted.isEmpty || wanted.contains(name) }
            if isWanted("checkpoint") { try CheckpointCost(isQuick: isQuick).measure(report) }
            if isWanted("replay") { try ReplaySpeed(isQuick: isQuick).measure(report) }
            if isWanted("ingest") { try IngestCost(isQuick: isQuick).measure(report) }
        } catch {
            say("journal-benchmark: \(error)")
            exit(1)
        }
    }
}

func plan(_ yaml: String) throws -> EvaluationPlan {
    let loaded = RuleLoader(environment: RuleLanguageEnvironment.standard).load(files: [
        RuleLoader.Source(name: "benchmark.yaml", bytes: Array(yaml.utf8))
    ])
    guard let plan = loaded.catalog.flatMap({ EvaluationPlan.compile($0).plan }) else { throw BenchmarkFailure("the rules were refused") }
    return plan
}

func temporaryFolder() throws -> String {
    let path = NSTemporaryDirectory() + "nodesphere-journal-\(getpid())-\(UInt32.random(in: 0 ... .max))"
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    return path
}

/// A batch of readings as the socket gives them: JSON of a hundred bytes.
func batch(_ first: Int, count: Int, devices: Int) -> MessageBatch {
    var batch = MessageBatch()
    for number in first..<first + count {
        let payload =
            #"{"temperature":\#(20 + number % 7).5,"humidity":\#(40 + number % 11).25,"battery":87,"linkquality":120,"voltage":3015,"n":\#(1_000_000 + number)}"#
        batch.append(
            topic: "dev/d\(number % devices)/up", payload: Array(payload.utf8), packetID: UInt16(truncatingIfNeeded: number), qos: 1)
    }
    return batch
}
