import Foundation
import Testing

@testable import RuleEngine

/// Prometheus' own tests of its window functions, where our meaning is PromQL's.
@Suite struct WindowVectorTests {
    struct Vector: Sendable, CustomTestStringConvertible {
        var name: String
        var window: WindowSpecification
        var samples: [Sample]
        var at: Instant
        var expected: Double?
        var testDescription: String { name }
    }

    static let vectors: [Vector] = {
        var folder = URL(fileURLWithPath: #filePath)
        for _ in 0..<2 { folder.deleteLastPathComponent() }
        guard let text = try? String(contentsOf: folder.appendingPathComponent("Data/window-vectors.jsonl"), encoding: .utf8) else {
            return []
        }
        return text.split(separator: "\n").flatMap { line in
            (try? JSONSerialization.jsonObject(with: Data(line.utf8))).flatMap { $0 as? [String: Any] }.map(vectors(of:)) ?? []
        }
    }()

    /// One vector a series. Left out: staleness marks, histograms and offsets, which are not ours, and `rate` and `increase`, which extrapolate there.
    static func vectors(of line: [String: Any]) -> [Vector] {
        guard let id = line["id"] as? String, let function = line["fn"] as? String, !["rate", "increase"].contains(function),
            let range = line["range_ms"] as? Int64,
            let at = line["at_ms"] as? Int64, let series = line["samples"] as? [String: [[Any]]], let expected = line["expect"] as? [[Any]],
            let (stem, _) = WindowFunction.named(function)
        else { return [] }
        let argument = line["arg"].flatMap(number)
        let seconds = argument ?? (line["arg"] as? String).flatMap { Duration(ruleText: $0) }.map { Double($0.inNanoseconds) / 1e9 }
        guard let asked = stem.function(quantile: argument, nanoseconds: seconds.map { Int64($0 * 1e9) }) else { return [] }
        let answers = Dictionary(expected.compactMap { pair in (pair[0] as? String).map { (labels($0), number(pair[1])) } }) { $1 }
        return series.sorted { $0.key < $1.key }.compactMap { name, points in
            let samples = points.compactMap { point -> Sample? in
                guard let ms = point[0] as? Int64, let value = number(point[1]) else { return nil }
                return Sample(at: Instant(milliseconds: ms), value: value)
            }
            guard samples.count == points.count else { return nil }
            let answer = answers[labels(name)] ?? (series.count == 1 || function == "absent_over_time" ? answers.values.first : nil)
            return Vector(
                name: "\(id) \(name)", window: WindowSpecification(asked, over: .time(range * 1_000_000)), samples: samples,
                at: Instant(milliseconds: at), expected: answer ?? nil)
        }
    }

    static func number(_ value: Any) -> Double? {
        switch value as? String {
        case "NaN": .nan
        case "Inf", "+Inf": .infinity
        case "-Inf": -.infinity
        default: value as? Double
        }
    }

    /// The labels of a series without its metric's name, in order.
    static func labels(_ series: String) -> [String] {
        let inner = series.drop { $0 != "{" }.dropFirst().dropLast()
        return inner.split(separator: ",").map { $0.trimmingCharacters(in: .whitespaces) }.sorted()
    }

    @Test func `the vectors are there`() { #expect(Self.vectors.count >= 80) }

    @Test(arguments: vectors)
    func `a window says what Prometheus says`(vector: Vector) {
        let plan = WindowPlan([.init(text: "x", windows: [vector.window])])
        var windows = WindowSet(plan)
        for sample in vector.samples where sample.at <= vector.at { windows.add(sample, to: 0, at: sample.at) }
        let found = windows.value(of: 0, at: vector.at)
        switch vector.window.function {
        case .present: #expect(found == .truth(vector.expected == 1))
        case .absent: #expect(found == .truth(vector.expected == 1))
        default:
            let agrees = agree(found.map { .number($0.asNumber) }, vector.expected.map { (.number($0), 1e-9) })
            #expect(agrees, "\(String(describing: found)), not \(String(describing: vector.expected))")
        }
    }
}
