import Foundation
import RuleEngine
import Testing

@Suite struct TopicFilterTests {
    struct Vector: Decodable, Sendable, CustomTestStringConvertible {
        var id: String
        var filter: String
        var topic: String
        var matches: Bool?
        var filter_valid: Bool
        var topic_valid: Bool
        var testDescription: String { "\(id) \(filter.prefix(40))" }
    }

    static let vectors: [Vector] = {
        let tests = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        let text = (try? String(contentsOf: tests.appending(path: "RuleEngineTests/Data/mqtt-topic-matching.jsonl"), encoding: .utf8)) ?? ""
        return text.split(separator: "\n").compactMap { try? JSONDecoder().decode(Vector.self, from: Data($0.utf8)) }
    }()

    @Test func `all vectors are read`() { #expect(Self.vectors.count == 94) }

    @Test(arguments: vectors) func `a filter is taken when the standard allows it`(_ vector: Vector) {
        let filter = try? TopicFilter(vector.filter)
        #expect((filter != nil) == vector.filter_valid)
        guard let filter, vector.topic_valid, let matches = vector.matches else { return }
        #expect(filter.subscription == vector.filter)
        #expect(matchesNaively(filter, vector.topic) == matches)
    }

    @Test func `a filter covers another when every topic of the other is one of its own`() throws {
        var random = SplitMix(state: 7)
        let names = ["a", "b", "", "$s"]
        func text(_ wildcards: Bool) -> String {
            let count = Int.random(in: 1...4, using: &random)
            return (0..<count).map { index in
                switch Int.random(in: 0..<8, using: &random) {
                case 0...1 where wildcards: index == count - 1 && Bool.random(using: &random) ? "#" : "+"
                case 2 where wildcards: "{c\(index)}"
                default: names.randomElement(using: &random) ?? "a"
                }
            }.joined(separator: "/")
        }
        // With two levels more than a filter has, a counterexample is found when there is one.
        var topics: [String] = names
        for _ in 0..<5 { topics += topics.suffix(1024).flatMap { topic in names.map { "\(topic)/\($0)" } }.prefix(1024) }
        topics += (0..<3000).map { _ in text(false) }
        topics = Array(Set(topics.filter { !$0.isEmpty }))
        var covering = 0
        for _ in 0..<300 {
            let (left, right) = (try TopicFilter(nonEmpty(text(true))), try TopicFilter(nonEmpty(text(true))))
            let holds = topics.allSatisfy { !matchesNaively(right, $0) || matchesNaively(left, $0) }
            #expect(left.covers(right) == holds, "\(left.pattern) and \(right.pattern)")
            if holds { covering += 1 }
        }
        #expect(covering > 20)
    }

    private func nonEmpty(_ text: String) -> String { text.isEmpty ? "a" : text }

    @Test func `the covering set matches what all matched, and holds no filter twice`() throws {
        let all = try ["a/b", "a/+", "a/{x}", "$share/g/a/b", "b/#", "b", "b/c/d", "c"].map { try TopicFilter($0) }
        #expect(TopicFilter.covering(all).map(\.subscription) == ["a/+", "$share/g/a/b", "b/#", "c"])
    }

    @Test func `nothing is missing from the covering set, and nothing is needless in it`() throws {
        var random = SplitMix(state: 11)
        let pieces = ["a", "b", "+", "$s", ""]
        for _ in 0..<300 {
            let filters = try (0..<8).map { _ in
                let count = Int.random(in: 1...3, using: &random)
                let levels = (0..<count).map { index in
                    index == count - 1 && Int.random(in: 0..<4, using: &random) == 0 ? "#" : pieces.randomElement(using: &random) ?? "a"
                }
                let text = levels.joined(separator: "/")
                return try TopicFilter((Bool.random(using: &random) ? "" : "$share/g/") + (text.isEmpty ? "a" : text))
            }
            let kept = TopicFilter.covering(filters)
            for (index, filter) in kept.enumerated() {
                #expect(!kept.enumerated().contains { $0.offset != index && $0.element.covers(filter) })
            }
            #expect(filters.allSatisfy { filter in kept.contains { $0.covers(filter) } })
        }
    }

    @Test func `the levels of a filter are bounded`() {
        #expect((try? TopicFilter(String(repeating: "/", count: 199))) != nil)
        #expect((try? TopicFilter(String(repeating: "/", count: 200))) == nil)
    }

    @Test func `captures are named in the order of their levels`() throws {
        let filter = try TopicFilter("$share/g/{site}/+/x/{rest#}")
        #expect(
            filter.captures == ["site", "rest"] && filter.share == "g" && filter.subscription == "$share/g/+/+/x/#"
                && filter.pattern == "+/+/x/#")
    }
}

/// MQTT 5 §4.7, word by word.
func matchesNaively(_ filter: TopicFilter, _ topic: String) -> Bool {
    let levels = topic.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
    func match(_ filter: ArraySlice<TopicFilter.Level>, _ levels: ArraySlice<String>) -> Bool {
        switch (filter.first, levels.first) {
        case (nil, nil), (.rest, _): true
        case (.literal(let name), .some(let level)): name == level && match(filter.dropFirst(), levels.dropFirst())
        case (.any, .some): match(filter.dropFirst(), levels.dropFirst())
        default: false
        }
    }
    if topic.hasPrefix("$"), case .literal = filter.levels[0] {} else if topic.hasPrefix("$") { return false }
    return match(filter.levels[...], levels[...])
}

/// A small random source that gives the same numbers in every run.
struct SplitMix: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
