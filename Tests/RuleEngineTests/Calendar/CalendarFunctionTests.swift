import CEL
import Testing

@testable import RuleEngine

@Suite struct CalendarFunctionTests {
    private func between(_ from: String, _ to: String, _ zone: String) throws -> CalendarFunction {
        CalendarFunction(
            kind: .between(
                from: try #require(CalendarFunction.seconds(ofDay: from)), to: try #require(CalendarFunction.seconds(ofDay: to))),
            zone: try #require(NamedZone(zone)))
    }

    /// The instants at which it changes, from one to another.
    private func changes(_ function: CalendarFunction, from: String, to: String) throws -> [String] {
        var at = try #require(Instant(rfc3339: from))
        let end = try #require(Instant(rfc3339: to))
        var found: [String] = []
        while case let next = function.nextChange(after: at), next <= end {
            found.append("\(next.description.dropLast(5)) \(function.isTrue(at: next))")
            #expect(function.isTrue(at: next) != function.isTrue(at: next + -1))
            at = next
        }
        return found
    }

    @Test func `a night in Oslo begins and ends by its clocks, also when they are set`() throws {
        let night = try between("22:00", "06:00", "Europe/Oslo")
        #expect(
            try changes(night, from: "2026-03-28T12:00:00Z", to: "2026-03-30T00:00:00Z") == [
                "2026-03-28T21:00:00 true", "2026-03-29T04:00:00 false", "2026-03-29T20:00:00 true",
            ])
    }

    @Test func `a time that clocks skip is the instant after the gap, and times that come twice turn twice`() throws {
        // On 2026-03-29 clocks in Oslo go from 02:00 to 03:00, on 2026-10-25 from 03:00 to 02:00.
        let early = try between("02:30", "04:00", "Europe/Oslo")
        #expect(
            try changes(early, from: "2026-03-28T22:00:00Z", to: "2026-03-29T12:00:00Z") == [
                "2026-03-29T01:00:00 true", "2026-03-29T02:00:00 false",
            ])
        #expect(
            try changes(early, from: "2026-10-24T22:00:00Z", to: "2026-10-25T12:00:00Z") == [
                "2026-10-25T00:30:00 true", "2026-10-25T01:00:00 false", "2026-10-25T01:30:00 true", "2026-10-25T03:00:00 false",
            ])
        let skipped = try between("02:15", "02:45", "Europe/Oslo")
        #expect(try changes(skipped, from: "2026-03-28T22:00:00Z", to: "2026-03-29T12:00:00Z") == [])
    }

    @Test func `weekdays are Monday to Friday of the zone`() throws {
        let week = CalendarFunction(kind: .weekday, zone: try #require(NamedZone("Asia/Tokyo")))
        #expect(
            try changes(week, from: "2026-06-01T00:00:00Z", to: "2026-06-15T00:00:00Z") == [
                "2026-06-05T15:00:00 false", "2026-06-07T15:00:00 true", "2026-06-12T15:00:00 false", "2026-06-14T15:00:00 true",
            ])
        // Before 1970 too.
        #expect(!week.isTrue(at: try #require(Instant(rfc3339: "1969-12-27T12:00:00Z"))))
        #expect(week.isTrue(at: try #require(Instant(rfc3339: "1969-12-29T12:00:00Z"))))
    }

    @Test func `the end of the day is 24:00`() throws {
        let evening = try between("18:00", "24:00", "UTC")
        #expect(
            try changes(evening, from: "2026-06-01T00:00:00Z", to: "2026-06-02T12:00:00Z") == [
                "2026-06-01T18:00:00 true", "2026-06-02T00:00:00 false",
            ])
        for text in ["24:01", "7:00", "07:60", "0700", "", "07:00:00", "ab:cd"] { #expect(CalendarFunction.seconds(ofDay: text) == nil) }
    }

    @Test func `what is kept of an answer is what is asked anew`() throws {
        let night = try between("21:30", "05:45", "America/New_York")
        var kept = CalendarAnswer()
        var random = Seeded(seed: 3)
        var at = try #require(Instant(rfc3339: "2026-01-01T00:00:00Z"))
        for _ in 0..<500 {
            at = at + Int64.random(in: 0..<50_000_000_000_000, using: &random)
            kept.refresh(night, at: at)
            #expect(kept.isTrue == night.isTrue(at: at))
            #expect(kept.until == night.nextChange(after: at))
        }
    }
}
