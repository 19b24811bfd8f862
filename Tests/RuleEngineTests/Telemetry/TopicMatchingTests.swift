import Testing

@testable import RuleEngine

@Suite struct TopicMatchingTests {
    private static let vectors: [Document] = {
        guard let lines = try? Fixture.lines("mqtt-topic-matching") else { return [] }
        return lines
    }()

    @Test func `filters match topics as the standard says`() throws {
        #expect(Self.vectors.count > 80)
        for vector in Self.vectors {
            let text = try #require(vector["filter"]?.string), topic = try #require(vector["topic"]?.string)
            let filter = try? TopicFilter(text)
            guard vector["filter_valid"]?.bool != false else {
                #expect(filter == nil, "\(text) is no filter")
                continue
            }
            // Braces are captures here, which the standard does not know.
            guard !text.contains("{") else { continue }
            guard vector["topic_valid"]?.bool != false, let matches = vector["matches"]?.bool else { continue }
            #expect(filter?.matches(topic) == matches, "\(vector["id"]?.string ?? ""): \(text) on \(topic)")
        }
    }

    @Test func `a covering set matches what all filters match, with none too many`() throws {
        var random = Seeded(seed: 5)
        func text(_ levels: [String]) -> String { levels.joined(separator: "/") }
        for _ in 0..<300 {
            let filters = try (0..<12).map { _ in
                let count = Int.random(in: 1...3, using: &random)
                var levels = (0..<count).map { _ in ["a", "b", "+", "$x"].randomElement(using: &random) ?? "a" }
                if Int.random(in: 0..<4, using: &random) == 0 { levels.append("#") }
                return try TopicFilter(text(levels))
            }
            let covering = TopicFilter.covering(filters)
            for first in ["a", "b", "c", "$x"] {
                for second in ["", "a", "b", "c"] {
                    for third in ["", "a", "b"] {
                        let topic = text([first, second, third].filter { !$0.isEmpty })
                        #expect(filters.contains { $0.matches(topic) } == covering.contains { $0.matches(topic) }, "\(topic)")
                    }
                }
            }
            for (place, filter) in covering.enumerated() {
                for (other, wider) in covering.enumerated() where place != other {
                    #expect(!wider.covers(filter), "\(wider.pattern) covers \(filter.pattern)")
                }
            }
        }
    }

    @Test func `a topic of many levels is matched by '#'`() throws {
        let topic = Array(repeating: "x", count: 30_000).joined(separator: "/")
        #expect(try TopicFilter("x/#").matches(topic))
        #expect(throws: TopicFilter.Mistake.self) { try TopicFilter(topic) }
    }
}
