@testable import AMQPNotifications
import RuleEngine
import Testing

/// The parts that need no broker.
@Suite struct AMQPPartsTests {
    @Test(arguments: [
        ("amqp://h", "amqp://h:5672 (virtual host '/')", "guest", "guest"),
        ("amqp://h/", "amqp://h:5672 (virtual host '/')", "guest", "guest"),
        ("amqps://h", "amqps://h:5671 (virtual host '/')", "guest", "guest"),
        ("amqp://u:p%40%2f@h:1/a%2Fb", "amqp://h:1 (virtual host 'a/b')", "u", "p@/"),
        ("amqp://u@h:65535/v", "amqp://h:65535 (virtual host 'v')", "u", ""),
        ("amqp://u:a@b:c@[::1]:5/v", "amqp://[::1]:5 (virtual host 'v')", "u", "a@b:c"),
    ])
    func `an URL is read`(_ url: String, _ description: String, _ user: String, _ password: String) throws {
        let configuration = try AMQPConfiguration(url: url)
        #expect(configuration.description == description)
        #expect(configuration.user.value == user && configuration.password.value == password)
    }

    @Test(arguments: [
        ("http://h", "amqp.url must begin with 'amqp://' or 'amqps://'"),
        ("amqp://u:s3cret@", "amqp.url must name a host"),
        ("amqp://", "amqp.url must name a host"),
        ("amqp://u:s3cret@h:0", "amqp.url: the port must be 1 to 65535"),
        ("amqp://u:s3cret@h:99999999999999999999", "amqp.url: the port must be 1 to 65535"),
        ("amqp://u:s3/cret@h", "amqp.url: the port must be 1 to 65535"),
        ("amqp://u:s3cret%4@h", "amqp.url: '%' in the password must be followed by two hexadecimal digits"),
        ("amqp://u:s3cret%00@h", "amqp.url: the password must be UTF-8 without NUL"),
        ("amqp://u:s3cret%ff@h", "amqp.url: the password must be UTF-8 without NUL"),
        ("amqp://h/v%", "amqp.url: '%' in the virtual host must be followed by two hexadecimal digits"),
        ("amqp://u:s3cret@[::1", "amqp.url: ']' is missing behind the address"),
        ("amqp://u:s3cret@[::1]x", "amqp.url: only ':' and a port may stand behind ']'"),
        ("amqp://h?x=1", "amqp.url takes no parameters behind '?' or '#' (in a password they are %3F and %23)"),
    ])
    func `an URL that cannot be used is refused without being quoted`(_ url: String, _ message: String) {
        let mistake = #expect(throws: AMQPConfigurationMistake.self) { try AMQPConfiguration(url: url) }
        #expect(mistake?.description == message)
    }

    @Test(arguments: ["", "amq.x", "a b", "ü", String(repeating: "p", count: 65)])
    func `a prefix that cannot be used is refused`(_ prefix: String) {
        #expect(throws: AMQPConfigurationMistake.self) { try AMQPConfiguration(url: "amqp://h", prefix: prefix) }
    }

    @Test func `neither printing nor dumping a configuration shows the account`() throws {
        let configuration = try AMQPConfiguration(url: "amqp://somebody:s3cret@h")
        var dumped = ""
        dump(configuration, to: &dumped)
        for text in [dumped, "\(configuration)", String(reflecting: configuration)] {
            #expect(!text.contains("s3cret") && !text.contains("somebody"), "\(text)")
        }
    }

    @Test(arguments: [(1, 0), (2, 1), (3, 1), (7, 2), (86_400, 16), (Topology.longestDelay, 27)])
    func `a delay goes in at its highest bit and carries its bits`(_ seconds: Int64, _ level: Int) {
        let topology = Topology(prefix: "p")
        let (exchange, key) = topology.entrance(delay: seconds)
        #expect(exchange == "p.delay.\(level)")
        #expect(key.split(separator: ".").count == Topology.levelCount)
        #expect(key.split(separator: ".").reduce(0) { $0 * 2 + ($1 == "1" ? 1 : 0) } == seconds)
    }

    @Test(arguments: [Int64.min, 0, Topology.longestDelay + 1, .max])
    func `a delay out of range is clamped`(_ seconds: Int64) {
        let topology = Topology(prefix: "p")
        #expect(topology.entrance(delay: seconds) == topology.entrance(delay: seconds <= 0 ? 1 : Topology.longestDelay))
    }

    @Test(arguments: [
        (Int64(0), "p.notifications"), (1, "p.delay.0"), (1_000_000_000, "p.delay.0"), (1_000_000_001, "p.delay.1"),
        (2_000_000_000, "p.delay.1"), (3_999_999_999, "p.delay.2"), (.max, "p.delay.27"), (.min, "p.notifications"),
    ])
    func `what is left of a second counts as a whole one`(_ wait: Int64, _ exchange: String) {
        let message = ScheduledMessage(
            id: "i", kind: .delivery(receiver: "r", severity: nil, status: "s"), dueAt: Instant(nanoseconds: 0) + wait)
        #expect(Topology(prefix: "p").publication(of: message, now: Instant(nanoseconds: 0)).exchange == exchange)
    }

    @Test(arguments: [
        ("team", nil as String?, "team.none.firing"), ("a.b", "x.y", "a%2Eb.x%2Ey.firing"), ("#", "*", "%23.%2A.firing"),
        ("a%2Eb", "", "a%252Eb.none.firing"),
    ])
    func `a routing key has three words whatever the names hold`(_ receiver: String, _ severity: String?, _ key: String) {
        #expect(Topology.deliveryKey(receiver: receiver, severity: severity, status: "firing") == key)
    }

    @Test(arguments: 0..<50)
    func `confirms in any order settle each publication once`(_ seed: UInt64) {
        var random = LinearCongruence(state: seed)
        var window = ConfirmWindow<UInt64>()
        var open: Set<UInt64> = []
        var next: UInt64 = 1
        for _ in 0..<2000 {
            if Bool.random(using: &random) || open.isEmpty {
                window.append(next)
                open.insert(next)
                next += 1
                continue
            }
            // Also tags that were settled long ago or never given.
            let tag = UInt64.random(in: 0...next + 2, using: &random)
            let multiple = UInt8.random(in: 0..<40, using: &random) == 0
            let expected: Set<UInt64> =
                tag >= next ? [] : multiple ? open.filter { $0 <= tag || tag == 0 } : open.intersection([tag])
            let settled = window.settle(tag, multiple: multiple)
            #expect(settled.count == expected.count && Set(settled) == expected)
            open.subtract(expected)
            #expect(window.openCount == open.count && window.oldest == open.min())
        }
        #expect(window.settle(.max, multiple: true) == [])
    }

    @Test func `attempts to connect come at growing intervals up to thirty seconds`() {
        var delay = ReconnectDelay()
        let delays = (0..<12).map { _ in delay.after(chance: 0) }
        #expect(delays.prefix(4) == [.milliseconds(100), .milliseconds(200), .milliseconds(400), .milliseconds(800)])
        #expect(delays.suffix(2) == [.seconds(30), .seconds(30)])
        #expect(delay.after(chance: 1) == .seconds(15))
        delay.reset()
        #expect(delay.after(chance: 0) == .milliseconds(100))
    }
}

/// Random numbers that are the same in every run.
private struct LinearCongruence: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        // Knuth's MMIX constants; the high bits are the good ones.
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        let high = state >> 32
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return high << 32 | state >> 32
    }
}
