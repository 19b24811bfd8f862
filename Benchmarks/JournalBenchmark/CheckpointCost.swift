import BenchmarkHarness
import EmbeddedState
import Foundation
import Glibc
import RuleEngine

private func threadSeconds() -> Double {
    var now = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now)
    return Double(now.tv_sec) + Double(now.tv_nsec) / 1e9
}

/// 100,000 instances with a mean over five minutes and a reading in ten seconds: how long a checkpoint takes while readings go on, how long the longest piece holds them, and how long restoring takes.
struct CheckpointCost {
    let isQuick: Bool

    func measure(_ report: Report) throws {
        let count = isQuick ? 20_000 : 100_000
        let plan = try plan(
            "groups:\n  - {name: g, on: 'dev/{device}/up', rules: [{alert: Mean, expr: \"avg_over_time(temperature, '5m') > 1000\"}]}\n")
        let engine = Engine(plan: plan)
        engine.connected(at: Instant(nanoseconds: 0))
        engine.backlogEnded(at: Instant(nanoseconds: 0))
        for round in 0..<31 {
            for first in stride(from: 0, to: count, by: 1000) {
                let at = Instant(nanoseconds: Int64(round) * 10_000_000_000 + Int64(first) * 1000)
                engine.ingest(batch(first, count: 1000, devices: count), at: at)
            }
        }
        // Samples that leave the windows by now are no work of the checkpoint.
        engine.advance(to: Instant(nanoseconds: 400_000_000_000))
        let folder = try temporaryFolder()
        defer { try? FileManager.default.removeItem(atPath: folder) }
        var took: [Double] = [], longest: [Double] = [], restored: [Double] = [], size: [Double] = []
        var now = Int64(400_000_000_000)
        for round in 1...(isQuick ? 3 : 5) {
            let start = monotonicSeconds()
            var held = 0.0
            func holding<Result>(_ body: () -> Result) -> Result {
                // Processor time: what others do on the machine does not count.
                let start = threadSeconds()
                defer { held = max(held, threadSeconds() - start) }
                return body()
            }
            let common = holding { engine.beginCheckpoint().common }
            let writing = try CheckpointWriting(
                CheckpointFile(position: UInt64(round), instant: Instant(nanoseconds: now), isJournaled: true, rules: "r"), in: folder)
            try writing.write(common.head)
            while let piece = holding({ engine.takeCheckpointPiece(subjects: 256) }) {
                try writing.write(piece.bytes)
                if piece.isWhole { break }
                // Readings go on in between, each of which has its subject copied first.
                now += 1_000_000
                let readings = batch(Int(now % 90_000), count: 20, devices: count)
                holding { engine.ingest(readings, at: Instant(nanoseconds: now)) }
            }
            try writing.finish()
            took.append(monotonicSeconds() - start)
            longest.append(held * 1000)
            let begin = monotonicSeconds()
            guard let file = try CheckpointFile.newest(in: folder).0, let again = Engine(plan: plan, restoring: file.state) else {
                throw BenchmarkFailure("the checkpoint cannot be read back")
            }
            restored.append(monotonicSeconds() - begin)
            size.append(Double(file.state.count) / Double(count))
            withExtendedLifetime(again) {}
        }
        for (metric, values) in [
            ("checkpoint_seconds", took), ("longest_hold_milliseconds", longest), ("restore_seconds", restored),
            ("bytes_per_instance", size),
        ] {
            if let samples = Samples(values) { report.write("instances=\(count)", metric, samples) }
        }
    }
}
