import CEL
import Testing

@testable import RuleEngine

@Suite struct HostilePayloadTests {
    private static let paths: [FieldPath] =
        [
            FieldPath(origin: .payload), .member("value"), .member("temperature"), .member("state"), .member("battery"), .member("ENERGY"),
            .member("data"), .member("a"),
        ]
        + [["a", "b"], ["ENERGY", "Power"], ["data", "temperature"], ["StatusSNS", "Time"]].map {
            FieldPath(origin: .payload, elements: $0.map { .name($0) })
        }
        + [
            FieldPath(origin: .payload, elements: [.name("value"), .index(0)]),
            FieldPath(origin: .payload, elements: [.name("a"), .index(1), .name("b")]),
        ]

    private static let payloads: [(topic: String, payload: [UInt8])] = {
        guard let lines = try? Fixture.lines("real-payloads") else { return [] }
        return lines.compactMap { line in line["payload"]?.string.map { (line["topic"]?.string ?? "t/x", Array($0.utf8)) } }
    }()

    /// What a decoder that reads the whole document would see.
    private func naive(_ payload: [UInt8], _ path: FieldPath) -> Value? {
        guard let document = try? Document(json: payload) else { return nil }
        var found: Document? = document
        var elements = path.elements[...]
        if document.members == nil, !elements.isEmpty {
            guard elements.first == .name("value") else { return nil }
            elements = elements.dropFirst()
        }
        for element in elements {
            switch element {
            case .name(let name): found = found?[name]
            case .index(let index):
                guard let list = found?.array, list.indices.contains(index) else { return nil }
                found = list[index]
            }
        }
        return found?.celValue
    }

    private func decoded(_ field: DecodedField, _ payload: [UInt8]) throws -> Value? {
        switch field.kind {
        case .absent: return nil
        case .null: return .null
        case .bool: return .bool(field.number != 0)
        case .number: return .double(field.number)
        case .string:
            let bytes = Array(payload[field.start..<field.end])
            return .string(
                String(decoding: field.isEscaped ? bytes.withUnsafeBufferPointer(PayloadDecoder.unescaped) : bytes, as: UTF8.self))
        case .container:
            return try payload[field.start..<field.end].withUnsafeBytes { bytes in
                var cursor = JSONCursor(bytes)
                return try DecodedValue.value(&cursor)
            }
        case .bytes: return .bytes(payload)
        }
    }

    /// Decodes; compares with the naive decoder where that reads the payload.
    private func check(_ payload: [UInt8], _ decoder: PayloadDecoder) throws {
        var failed = false
        do { try payload.withUnsafeBytes { try decoder.decode($0) } } catch { failed = true }
        guard (try? Document(json: payload)) != nil else { return }
        #expect(!failed, "\(String(decoding: payload, as: UTF8.self))")
        for (column, path) in Self.paths.enumerated() {
            let seen = try decoded(decoder.row[column], payload), expected = naive(payload, path)
            let isSame = seen.map { value in expected.map { value.isIdentical(to: $0) } ?? false } ?? (expected == nil)
            #expect(
                isSame,
                "\(path) of \(String(decoding: payload, as: UTF8.self)): \(String(describing: seen)) for \(String(describing: expected))")
        }
    }

    @Test func `payloads of real devices are decoded as by a decoder that reads all of them`() throws {
        #expect(Self.payloads.count > 100)
        let decoder = PayloadDecoder(paths: Self.paths, decoder: .automatic)
        for (_, payload) in Self.payloads { try check(payload, decoder) }
    }

    @Test func `no payload traps, and what is JSON is decoded as such`() throws {
        var random = Seeded(seed: 11)
        let decoder = PayloadDecoder(paths: Self.paths, decoder: .automatic)
        let seeds =
            Self.payloads.map(\.payload)
            + ["{\"a\":{\"b\":1},\"a\":[1,{\"b\":2}]}", "[1,2]", "-0.0e-5", "{\"value\":[3]}", "1e400", "\"\\ud83d\\ude00\\ud800\""].map {
                Array($0.utf8)
            }
        let interesting = Array("{}[]\",:\\0123456789.eE+-tfnu \n\0\u{7f}".utf8) + [0x80, 0xC2, 0xED, 0xF4, 0xFF]
        for _ in 0..<6000 {
            var payload = seeds.randomElement(using: &random) ?? []
            for _ in 0..<Int.random(in: 1...6, using: &random) where !payload.isEmpty {
                let place = Int.random(in: 0..<payload.count, using: &random)
                switch Int.random(in: 0..<4, using: &random) {
                case 0: payload[place] = interesting.randomElement(using: &random) ?? 0
                case 1: payload.remove(at: place)
                case 2: payload.insert(interesting.randomElement(using: &random) ?? 0, at: place)
                default: payload.insert(contentsOf: payload[place...].prefix(5), at: place)
                }
            }
            try check(payload, decoder)
        }
    }

    @Test func `of a name that stands twice the last one counts, with nothing left of the first`() throws {
        let driver = try EngineDriver.rule("expr: a.b > 1")
        driver.send("t/a", "{\"a\": {\"b\": 5}, \"a\": {\"c\": 1}}", at: 0)
        #expect(driver.log() == [])
        driver.send("t/a", "{\"a\": 7, \"a\": {\"b\": 2}}", at: 1)
        #expect(driver.log() == ["1s A(a) firing"])
    }

    @Test func `a number out of double's range is as absent, and counted`() throws {
        let driver = try EngineDriver.rule("expr: a > 1")
        driver.send("t/a", "{\"a\": 2}", at: 0)
        driver.send("t/a", "{\"a\": 1e999}", at: 1)
        driver.send("t/a", "{\"a\": -1e999}", at: 2)
        #expect(driver.log() == ["0s A(a) firing"])
        #expect(driver.engine.counters.numbersOutOfRange == 2)
    }

    @Test func `the whole payload is validated even where little of it is decoded`() throws {
        let driver = try EngineDriver.rule("expr: a > 1")
        for payload in [
            "{\"a\": 2, \"b\": 01}", "{\"a\": 2} x", "{\"a\": 2, \"b\": \"\u{1}\"}", "{\"a\":2,}", String(repeating: "[", count: 500), "",
        ] {
            driver.send("t/a", payload, at: 0)
        }
        driver.send("t/a", [0x7B, 0x22, 0x61, 0x22, 0x3A, 0x32, 0x2C, 0x22, 0xFF, 0x22, 0x3A, 0x31, 0x7D], at: 0)
        #expect(driver.log() == [])
        #expect(driver.engine.counters.undecodable == ["syntax": 4, "depth": 1, "empty": 1, "utf8": 1])
    }

    @Test func `hostile topics and payloads of all kinds leave the engine standing`() throws {
        let body = "expr: temperature > 30 || value == 'ON' || state.size() > 3 || previous(value) != value"
        let driver = try EngineDriver.rule(
            body + "\nby: [device]\nannotations: {x: '{{ payload }} {{ topic }} {{ rest }}'}", on: "'{device}/{rest#}'")
        var random = Seeded(seed: 3)
        for (number, (topic, payload)) in Self.payloads.enumerated() {
            driver.send(topic, payload, at: Double(number))
            driver.send(topic + "/\u{0}/é\u{301}", Array(payload.shuffled(using: &random)), at: Double(number), retained: number % 3 == 0)
        }
        driver.send("", "{}", at: 1000)
        driver.send("/", "{}", at: 1000)
        driver.send("$SYS/x", "31", at: 1000)
        #expect(driver.engine.counters.readings == UInt64(Self.payloads.count * 2 + 3))
        _ = driver.take()
    }

    @Test func `a value that shares its parts becomes no document that memory cannot hold`() {
        let shared = (0..<60).reduce(Value.list([.string("a")])) { value, _ in .list([value, value]) }
        #expect(Document(shared) == .null)
        #expect(Document(.list([.string(String(repeating: "a", count: 1000)), .null])).array?.count == 2)
    }
}
