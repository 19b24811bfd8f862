import HTTPTypes
import RESTInterface
import RuleEngine
import Testing

@testable import RESTInterface

@Suite struct PagingTests {
    static let lists = ["rules", "groups", "alerts", "devices", "profiles", "vars"]

    /// Six lists of 25 items each.
    static func filled() async -> FakeOperations {
        await FakeOperations { fake in
            for number in 0..<25 {
                let name = "n\(number)"
                fake.ruleStatuses.append(
                    RuleStatus(group: "g", name: name, file: nil, line: 1, isEnabled: true, mode: "live", health: .ok, source: ""))
                fake.groupTexts[name] = GroupText(name: name, yaml: "", file: nil)
                fake.alertRecords.append(AlertRoutesTests.alert(name, at: Int64(number % 3)))
                fake.deviceRecords[name] = DeviceRecord(id: name)
                fake.profileRecords[name] = ProfileRecord(name: name, config: [:])
                fake.values[name] = RuleVariable(name: name, value: 1)
            }
        }
    }

    @Test(arguments: lists, [1, 7, 24, 25, 26])
    func `Every item of a list is on one page, in the same order as on one page of all`(list: String, limit: Int) async throws {
        let server = await Self.filled()
        let whole = try await server.get("/api/v1/\(list)").document
        #expect(whole["next"] == .null)
        var items: [Document] = []
        var query = "?limit=\(limit)"
        while true {
            let page = try await server.get("/api/v1/\(list)\(query)").document
            let found = try #require(page["items"]?.array)
            #expect(found.count <= limit)
            items += found
            guard let cursor = page["next"]?.string, items.count <= 25 else { break }
            query = "?limit=\(limit)&cursor=\(cursor)"
        }
        #expect(items.count == 25)
        #expect(.array(items) == whole["items"])
    }

    @Test func `A cursor stays right when items before and behind it come and go, its own included`() async throws {
        let server = await FakeOperations { fake in for id in ["b", "d", "f", "h"] { fake.deviceRecords[id] = DeviceRecord(id: id) } }
        let first = try await server.get("/api/v1/devices?limit=2")
        #expect(first.names("id") == ["b", "d"])
        await server.change { fake in
            fake.deviceRecords["d"] = nil
            for id in ["a", "c", "e", "z"] { fake.deviceRecords[id] = DeviceRecord(id: id) }
        }
        let second = try await server.get("/api/v1/devices?cursor=\(try #require(first.document["next"]?.string))")
        #expect(second.names("id") == ["e", "f", "h", "z"])
    }

    @Test func `Names are ordered by their bytes`() async throws {
        let ids = ["Z", "a", "a/b", "aa", "é", "🐟"]
        let server = await FakeOperations { fake in for id in ids { fake.deviceRecords[id] = DeviceRecord(id: id) } }
        #expect(try await server.get("/api/v1/devices").names("id") == ids)
    }

    @Test(arguments: ["limit=0", "limit=000", "limit=-1", "limit=x", "limit=1.5", "limit=+5", "limit=1&limit=2"])
    func `A limit is a whole number from 1`(query: String) async throws {
        expectProblem(try await (await Self.filled()).get("/api/v1/devices?" + query), 400, "invalid-request", saying: "'limit'")
    }

    @Test(arguments: ["10000", "10001", "99999999999999999999999999"])
    func `A limit above the largest is the largest`(limit: String) async throws {
        let request = try PageRequest<NamePosition>(of: "devices", try Query("limit=" + limit))
        #expect(request.limit == 10_000)
        #expect(try PageRequest<NamePosition>(of: "devices", try Query("limit=&cursor=")).limit == 1000)
    }

    @Test(arguments: lists)
    func `A cursor that the list has not given is refused`(list: String) async throws {
        let server = await Self.filled()
        let other = try await server.get("/api/v1/\(list == "vars" ? "devices" : "vars")?limit=1").document["next"]?.string
        for cursor in ["x", "abc", "00", "5b5d", Hex.text(#"["\#(list)",{}]"#.utf8), try #require(other)] {
            expectProblem(try await server.get("/api/v1/\(list)?cursor=\(cursor)"), 400, "invalid-request", saying: "'cursor'")
        }
    }

    @Test func `A page of very many items has those that sorting all would give`() throws {
        var seed: UInt64 = 7
        let names = (0..<20_000).map { _ in
            seed = seed &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return String(seed >> 40, radix: 36)
        }
        let distinct = Array(Set(names)), ordered = distinct.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
        for (limit, start) in [(1, 0), (10, 500), (999, 0), (999, 19_000)] {
            var request = try PageRequest<NamePosition>(of: "x", try Query("limit=\(limit)"))
            if start > 0 { request.after = NamePosition(ordered[start - 1]) }
            let page = request.document(of: distinct, at: { NamePosition($0) }, as: Document.string)
            #expect(page["items"]?.array?.compactMap(\.string) == Array(ordered[start...].prefix(limit)))
            #expect((page["next"] == .null) == (start + limit >= ordered.count))
        }
    }
}
