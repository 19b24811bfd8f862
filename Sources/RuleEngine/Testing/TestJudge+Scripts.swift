/// What scripts asked of the outside, and what they keep.
extension TestJudge {
    func verdict(on expected: [ExpectedRequest], _ made: [HTTPCall], _ now: Instant, _ clock: TestClock) -> String? {
        let named = Set(expected.map(\.url))
        let left = expected.isEmpty ? made : made.filter { named.contains($0.url) }
        return Self.compare(expected, left, at: clock.text(now), describe: \.text, of: \.text) { wanted, call in
            wanted.url == call.url && wanted.method.map { $0 == call.method } ?? true
                && wanted.headers.allSatisfy { call.header($0.key) == $0.value }
                && wanted.body.map { Self.isAlike($0, String(decoding: call.body, as: UTF8.self)) } ?? true
        }
    }

    func verdict(on expected: [ExpectedPoint], _ written: [SeriesPoint], _ now: Instant, _ clock: TestClock) -> String? {
        let named = Set(expected.map(\.measurement))
        let left = expected.isEmpty ? written : written.filter { named.contains($0.measurement) }
        return Self.compare(expected, left, at: clock.text(now), describe: \.text, of: \.text) { wanted, point in
            let fields = Document.object(point.fields)
            return wanted.measurement == point.measurement && wanted.tags.isSubset(of: point.tags)
                && (wanted.fields.members ?? []).allSatisfy { fields[$0.name]?.isAlike($0.value) ?? false }
        }
    }

    func verdict(onStateOf automation: String, _ expected: Document, _ state: Document?, _ now: Instant, _ clock: TestClock) -> String? {
        guard let state else { return "expected at \(clock.text(now)): a state of '\(automation)'\nbut there was:   no such automation\n" }
        let wrong = (expected.members ?? []).filter { member in
            let found = state[member.name] ?? .null
            return !found.isAlike(member.value)
        }
        guard !wrong.isEmpty else { return nil }
        let found = Document.object(wrong.map { .init($0.name, state[$0.name] ?? .null) })
        return
            "expected at \(clock.text(now)): state of '\(automation)' with \(Document.object(wrong).json)\nbut there was:   \(found.json)\n"
    }

    /// A script asked for something of which the test says nothing.
    func complaint(of automation: String, _ request: ScriptRequest, at instant: Instant, start: Instant) -> String {
        let (what, key): (String, String) =
            switch request {
            case .http(let call): ("\(call.method) \(call.url)", "http")
            case .query(let text): ("the query \(text)", "influx")
            default: ("something", "http")
            }
        return
            "'\(automation)' asked at \(TestClock(start: start).text(instant)) for \(what)\nthe test gives no answer: its '\(key)' must\n"
    }

    /// Each expectation takes one of what there was; all must be met, and nothing be left.
    private static func compare<Expected, Found>(
        _ expected: [Expected], _ found: [Found], at instant: String, describe: (Expected) -> String, of: (Found) -> String,
        agrees: (Expected, Found) -> Bool
    ) -> String? {
        var left = found
        var missing: [Expected] = []
        for one in expected {
            if let place = left.firstIndex(where: { agrees(one, $0) }) { left.remove(at: place) } else { missing.append(one) }
        }
        guard !missing.isEmpty || !left.isEmpty else { return nil }
        var text = missing.map { "expected at \(instant): \(describe($0))\n" }.joined()
        for one in left { text += (missing.isEmpty ? "not expected at \(instant): " : "but there was:   ") + of(one) + "\n" }
        if left.isEmpty { text += "but there was:   \(found.isEmpty ? "none" : found.map(of).joined(separator: " and "))\n" }
        return text
    }

    private static func isAlike(_ expected: String, _ found: String) -> Bool {
        if expected == found { return true }
        guard let wanted = try? Document(json: expected), let found = try? Document(json: found) else { return false }
        return found.isAlike(wanted)
    }
}

extension ExpectedRequest {
    fileprivate var text: String {
        "\(method ?? "a request to") \(url)\(body.map { " ← \($0)" } ?? "")"
            + headers.sorted { $0.key < $1.key }.map { ", \($0.key): \($0.value)" }.joined()
    }
}

extension HTTPCall {
    fileprivate var text: String {
        "\(method) \(url)\(body.isEmpty ? "" : " ← \(String(decoding: body, as: UTF8.self))")"
            + headers.map { ", \($0.name): \($0.value)" }.joined()
    }
}

extension ExpectedPoint {
    fileprivate var text: String { "\(measurement)\(LabelText.braces(tags)) \(fields.json)" }
}

extension SeriesPoint {
    fileprivate var text: String { "\(measurement)\(LabelText.braces(tags)) \(Document.object(fields).json)" }
}
