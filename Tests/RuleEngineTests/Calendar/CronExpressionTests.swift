import CEL
import Foundation
import RuleEngine
import Testing

struct CronExpressionTests {
    private static func zone(_ name: String) throws -> NamedZone { try #require(NamedZone(name)) }

    private static func next(_ text: String, after start: String, in zone: String = "UTC", count: Int = 1) throws -> [String] {
        let cron = try CronExpression(text), zone = try Self.zone(zone)
        var found: [Instant] = []
        let start = try #require(Instant(rfc3339: start))
        while found.count < count, let next = cron.next(after: found.last ?? start, in: zone) { found.append(next) }
        return found.map { String($0.description.prefix(16)) }
    }

    struct Vector: Decodable, CustomTestStringConvertible {
        var id: String, kind: String, five_field: String?, at: String?, from: String?
        var agrees_with_croniter: Bool?
        var expected: Expected
        enum Expected: Decodable {
            case none, isActive(Bool), instant(String), several([String])
            init(from decoder: any Decoder) throws {
                let value = try decoder.singleValueContainer()
                if value.decodeNil() {
                    self = .none
                } else if let bool = try? value.decode(Bool.self) {
                    self = .isActive(bool)
                } else if let text = try? value.decode(String.self) {
                    self = .instant(text)
                } else {
                    self = .several(try value.decode([String].self))
                }
            }
        }
        var testDescription: String { "\(id) \(five_field ?? "")" }
    }

    static let vectors: [Vector] = {
        let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        guard let text = try? String(contentsOf: folder.appendingPathComponent("Data/cron-vectors.jsonl"), encoding: .utf8) else {
            return []
        }
        return text.split(separator: "\n").compactMap { try? JSONDecoder().decode(Vector.self, from: Data($0.utf8)) }
            .filter { $0.five_field != nil && $0.agrees_with_croniter == true && ($0.kind == "active" || $0.kind == "next") }
    }()

    @Test func `the vectors of other libraries are there`() { #expect(Self.vectors.count > 50) }

    @Test(arguments: vectors)
    func `what other libraries agree on holds here too`(vector: Vector) throws {
        guard let text = vector.five_field else { return }
        let start = try #require(Instant(rfc3339: "\((vector.from ?? vector.at ?? "").prefix(19))Z"))
        switch vector.expected {
        case .isActive(let isActive):
            let next = try CronExpression(text).next(after: start + -1_000_000_000, in: Self.zone("UTC"))
            #expect((next == start) == isActive)
        case .instant(let wanted):
            #expect(try CronExpression(text).next(after: start, in: Self.zone("UTC"))?.description.prefix(19) == wanted.prefix(19))
        case .none: #expect(((try? CronExpression(text))?.next(after: start, in: try Self.zone("UTC"))) == nil)
        case .several: Issue.record("not a case of these kinds")
        }
    }

    @Test func `a local time that clocks skip runs at the first instant after the gap`() throws {
        #expect(
            try Self.next("30 2 * * *", after: "2026-03-28T12:00:00Z", in: "Europe/Oslo", count: 2) == [
                "2026-03-29T01:00", "2026-03-30T00:30",
            ])
        // All of the hour is gone; it runs once for it.
        #expect(
            try Self.next("*/15 2 * * *", after: "2014-03-09T09:00:00Z", in: "America/Los_Angeles", count: 2) == [
                "2014-03-09T10:00", "2014-03-10T09:00",
            ])
        // A whole day that Samoa skipped.
        #expect(try Self.next("0 12 30 12 *", after: "2011-12-29T00:00:00Z", in: "Pacific/Apia") == ["2011-12-30T10:00"])
    }

    @Test func `a local time that comes twice runs at the first`() throws {
        #expect(
            try Self.next("30 2 * * *", after: "2026-10-24T12:00:00Z", in: "Europe/Oslo", count: 2) == [
                "2026-10-25T00:30", "2026-10-26T01:30",
            ])
        #expect(try Self.next("30 2 * * *", after: "2026-10-25T00:40:00Z", in: "Europe/Oslo") == ["2026-10-26T01:30"])
    }

    @Test func `hourly and finer patterns run in both of two hours with one name`() throws {
        #expect(
            try Self.next("0 * * * *", after: "2014-11-02T07:59:00Z", in: "America/Los_Angeles", count: 3) == [
                "2014-11-02T08:00", "2014-11-02T09:00", "2014-11-02T10:00",
            ])
        // Clocks that go back over midnight: the second hour belongs to the day before.
        #expect(try Self.next("30 * * * *", after: "2022-09-10T00:00:00Z", in: "America/Santiago").count == 1)
        #expect(
            try Self.next("30 * * * *", after: "2022-04-03T01:00:00Z", in: "America/Santiago", count: 4)
                == ["2022-04-03T01:30", "2022-04-03T02:30", "2022-04-03T03:30", "2022-04-03T04:30"])
    }

    @Test func `day of month or day of week is enough when both are restricted`() throws {
        #expect(
            try Self.next("0 0 13 * fri", after: "2026-02-01T00:00:00Z", count: 3) == [
                "2026-02-06T00:00", "2026-02-13T00:00", "2026-02-20T00:00",
            ])
        #expect(try Self.next("0 0 * * fri", after: "2026-02-01T00:00:00Z") == ["2026-02-06T00:00"])
        #expect(try Self.next("0 0 13 * *", after: "2026-02-01T00:00:00Z") == ["2026-02-13T00:00"])
        #expect(try Self.next("0 0 ? * fri", after: "2026-02-01T00:00:00Z") == ["2026-02-06T00:00"])
    }

    @Test(arguments: [
        ("0 0 * * 0", "2026-02-01T00:00:00Z", "2026-02-08T00:00"), ("0 0 * * 7", "2026-02-01T00:00:00Z", "2026-02-08T00:00"),
        ("0 0 * * fri-sun", "2026-02-02T00:00:00Z", "2026-02-06T00:00"), ("0 0 L * *", "2026-02-01T00:00:00Z", "2026-02-28T00:00"),
        ("0 0 LW * *", "2026-02-01T00:00:00Z", "2026-02-27T00:00"), ("0 0 15W * *", "2026-02-01T00:00:00Z", "2026-02-16T00:00"),
        ("0 0 1W * *", "2026-07-31T00:00:00Z", "2026-08-03T00:00"), ("0 0 * * 5L", "2026-02-01T00:00:00Z", "2026-02-27T00:00"),
        ("5/15 * * * *", "2026-02-01T00:51:00Z", "2026-02-01T01:05"), ("0 0 29 2 *", "2026-02-01T00:00:00Z", "2028-02-29T00:00"),
        ("0 0 * 2 6#5", "2026-02-01T00:00:00Z", "2048-02-29T00:00"), ("@yearly", "2026-02-01T00:00:00Z", "2027-01-01T00:00"),
        ("@annually", "2026-02-01T00:00:00Z", "2027-01-01T00:00"), ("@midnight", "2026-02-01T00:00:00Z", "2026-02-02T00:00"),
        ("0 0 1 JAN,Jul *", "2026-02-01T00:00:00Z", "2026-07-01T00:00"),
    ])
    func `names, lists, steps and special days`(text: String, start: String, next: String) throws {
        #expect(try Self.next(text, after: start) == [next])
    }

    @Test(arguments: [
        ("61 * * * *", "'minute' must be from 0 to 59", 0..<2),
        ("* * * *", "a cron expression has five fields (minute, hour, day of month, month, day of week), not 4", 7..<7),
        ("* * * * * *", "a cron expression has five fields (minute, hour, day of month, month, day of week), not 6", 10..<11),
        ("*/0 * * * *", "a step of 'minute' must be a number from 1 to 60", 2..<3),
        ("5-1 * * * *", "a range of 'minute' must rise: '5-1'", 0..<3),
        ("1,,2 * * * *", "a value of 'minute' is missing beside ','", 0..<4),
        ("@dayly", "there is no '@dayly'; did you mean '@daily'?", 0..<6),
        ("* * * foo *", "'month' must be a number or a name such as 'feb' from 1 to 12", 6..<9),
        ("0 0 31 2,4 *", "no month that is given has a day 31: it would never run", 4..<6),
        ("0 0 * * 1#6", "after '#' stands which of the month, from 1 to 5", 8..<11),
        ("- * * * *", "'minute' must be a number from 0 to 59", 0..<1),
        ("99999999999999999999 * * * *", "'minute' must be a number from 0 to 59", 0..<20),
        ("", "a cron expression has five fields (minute, hour, day of month, month, day of week), not 0", 0..<0),
    ])
    func `a mistake names its field and its place`(text: String, message: String, range: Range<Int>) {
        #expect { try CronExpression(text) } throws: { error in
            guard let mistake = error as? CronExpression.Mistake else { return false }
            return mistake.message == message && mistake.range == range
        }
    }

    @Test func `the next run is always later and runs in every zone end`() throws {
        let starts = stride(from: Int64(-1_000_000_000), to: 9_000_000_000, by: 987_654_321)
        for zone in ["UTC", "Europe/Oslo", "Australia/Lord_Howe", "Pacific/Apia", "+05:45", "America/St_Johns"] {
            for text in ["* * * * *", "0 0 L * *", "30 2 * * *", "0 0 29 2 *", "15 3 15W */2 *"] {
                let cron = try CronExpression(text), zone = try Self.zone(zone)
                for seconds in starts {
                    let start = Instant(milliseconds: seconds * 1000)
                    let next = try #require(cron.next(after: start, in: zone))
                    #expect(next > start)
                }
            }
        }
        #expect(try CronExpression("* * * * *").next(after: .distantFuture, in: Self.zone("UTC")) == nil)
    }
}
