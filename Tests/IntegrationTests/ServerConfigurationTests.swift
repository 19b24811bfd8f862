import Foundation
import RuleEngine
import Testing

extension ServerTests {
    @Suite(.serialized) struct DeviceConfiguration {
        static let rules = """
            groups:
              - name: limits
                on: $ROOT/{device}
                rules:
                  - alert: AboveLimit
                    expr: pressure > config.max_pressure
                  - alert: Armed
                    expr: vars.armed && motion
            """

        @Test(.usesMongoDB, .enabled(if: MongoBench.uri != nil, "needs scripts/services up mongodb"))
        func `what another program writes to MongoDB reaches a running rule within 2 s`() async throws {
            let mongo = try MongoBench()
            try await ServerBench.with(rules: Self.rules, settings: ["NODESPHERE_MONGODB_URI": mongo.uri]) { server in
                try await server.send("f1", #"{"pressure": 6.5}"#)
                // Of the 2 s, one is the interval of the polls (`MongoStateTests` has it); the other is enough unless the machine has other work.
                let written = ContinuousClock.now
                try await mongo.insert("devices", id: "f1", [.init("config", ["max_pressure": 5.0]), .init("site", "unknown member")])
                let fired = try #require(await server.webhook.first("firing", "AboveLimit", device: "f1"))
                #expect(written.duration(to: fired.at) < MongoBench.lateOnABusyMachine)
                // Whole numbers, and a profile that came later.
                let changed = ContinuousClock.now
                try await mongo.insert("profiles", id: "strong", [.init("config", ["max_pressure": 9])])
                try await mongo.insert("devices", id: "f1", [.init("config", .emptyObject), .init("profile", "strong")])
                let resolved = try #require(await server.webhook.first("resolved", "AboveLimit", device: "f1"))
                #expect(changed.duration(to: resolved.at) < MongoBench.lateOnABusyMachine)
                #expect(await server.get("/api/v1/devices/f1").json["effectiveConfig"]?["max_pressure"]?.number == 9)
            }
            withExtendedLifetime(mongo) {}
        }

        @Test(.usesRabbitMQAndMongoDB, arguments: Backing.available)
        func `a profile's defaults hold under the device's own configuration, by REST and across a restart`(_ backing: Backing) async throws
        {
            try await ServerBench.with(backing, rules: Self.rules) { server in
                #expect(
                    await server.request("PUT", "/api/v1/profiles/boiler", #"{"config": {"max_pressure": 5, "unit": {"name": "bar"}}}"#)
                        .status < 300)
                #expect(
                    await server.request(
                        "PUT", "/api/v1/devices/d1", #"{"profile": "boiler", "config": {"unit": {"scale": 2}}, "labels": {"hall": "7"}}"#
                    ).status < 300)
                let effective = await server.get("/api/v1/devices/d1").json["effectiveConfig"]
                #expect(
                    effective?["max_pressure"]?.number == 5 && effective?["unit"]?["name"]?.string == "bar"
                        && effective?["unit"]?["scale"]?.int == 2)
                try await server.send("d1", #"{"pressure": 6}"#)
                #expect(await server.webhook.first("firing", "AboveLimit", device: "d1") != nil)
                let patch = await server.request(
                    "PATCH", "/api/v1/devices/d1", #"{"config": {"max_pressure": 7}}"#, type: "application/merge-patch+json")
                #expect(patch.status == 200)
                #expect(await server.webhook.first("resolved", "AboveLimit", device: "d1") != nil)
                await server.kill()
                try await server.start()
                #expect(await server.get("/api/v1/devices/d1").json["effectiveConfig"]?["max_pressure"]?.number == 7)
                #expect(await server.get("/api/v1/devices/d1").json["labels"]?["hall"]?.string == "7")
                // The device's own value goes, the profile's comes through again.
                let back = await server.request(
                    "PATCH", "/api/v1/devices/d1", #"{"config": {"max_pressure": null}}"#, type: "application/merge-patch+json")
                #expect(back.status == 200)
                try await server.send("d1", #"{"pressure": 6.1}"#)
                #expect(await eventually { server.webhook.alerts("firing", "AboveLimit", device: "d1").count == 2 })
            }
        }

        @Test func `a variable written by REST is seen by rules at once, and after a restart`() async throws {
            try await ServerBench.with(rules: Self.rules) { server in
                try await server.send("m1", #"{"motion": true}"#)
                #expect(await server.request("PUT", "/api/v1/vars/armed", #"{"value": true}"#).status == 201)
                #expect(await server.webhook.first("firing", "Armed", device: "m1") != nil)
                #expect(await server.request("PUT", "/api/v1/vars/armed", #"{"value": false}"#).status == 200)
                #expect(await server.webhook.first("resolved", "Armed", device: "m1") != nil)
                #expect(await server.request("PUT", "/api/v1/vars/armed", #"{"value": true}"#).status == 200)
                #expect(await eventually { server.webhook.alerts("firing", "Armed", device: "m1").count == 2 })
                await server.kill()
                try await server.start()
                #expect(await server.get("/api/v1/vars/armed").json["value"]?.bool == true)
                try await server.send("m2", #"{"motion": true}"#)
                #expect(await server.webhook.first("firing", "Armed", device: "m2") != nil)
                #expect(await server.request("DELETE", "/api/v1/vars/armed").status == 204)
                #expect(await server.get("/api/v1/vars/armed").status == 404)
            }
        }

        @Test func `deleting a device resolves its alerts`() async throws {
            try await ServerBench.with(rules: Self.rules) { server in
                #expect(await server.request("PUT", "/api/v1/devices/gone", #"{"config": {"max_pressure": 5}}"#).status < 300)
                try await server.send("gone", #"{"pressure": 6}"#)
                #expect(await server.webhook.first("firing", "AboveLimit", device: "gone") != nil)
                #expect(await server.request("DELETE", "/api/v1/devices/gone").status == 204)
                #expect(await server.webhook.first("resolved", "AboveLimit", device: "gone") != nil)
                #expect(await server.get("/api/v1/devices/gone").status == 404)
            }
        }
    }

    @Suite(.serialized) struct RuleGroups {
        static func group(_ name: String, _ alert: String, _ expression: String = "x > 1") -> String {
            "name: \(name)\non: $ROOT/{device}\nrules:\n  - alert: \(alert)\n    expr: \(expression)\n"
        }

        @Test(.usesRabbitMQAndMongoDB, arguments: Backing.available)
        func `a group made by API runs, survives a restart and can be replaced and removed`(_ backing: Backing) async throws {
            try await ServerBench.with(backing, rules: DeviceConfiguration.rules) { server in
                func put(_ text: String, _ query: String = "") async -> HTTPAnswer {
                    await server.request(
                        "PUT", "/api/v1/groups/mine\(query)", text.replacingOccurrences(of: "$ROOT", with: server.root),
                        type: "application/yaml")
                }
                let dry = await put(Self.group("mine", "Mine"), "?dry_run=true")
                #expect(dry.status == 200)
                #expect(await server.get("/api/v1/groups/mine").status == 404)
                #expect(await put(Self.group("mine", "Mine")).status == 201)
                try await server.send("a", #"{"x": 2}"#)
                #expect(await server.webhook.first("firing", "Mine", device: "a") != nil)
                await server.kill()
                try await server.start()
                #expect(await server.get("/api/v1/groups/mine").text.contains("alert: Mine"))
                try await server.send("b", #"{"x": 2}"#)
                #expect(await server.webhook.first("firing", "Mine", device: "b") != nil)
                #expect(server.webhook.alerts("firing", "Mine", device: "a").count == 1)
                #expect(await put(Self.group("mine", "Mine", "x > 5")).status == 200)
                #expect(await server.webhook.first("resolved", "Mine", device: "a") != nil)
                #expect(await server.webhook.first("resolved", "Mine", device: "b") != nil)
                #expect(await server.request("DELETE", "/api/v1/groups/mine").status == 204)
                #expect(await server.get("/api/v1/groups/mine").status == 404)
                #expect(await server.request("POST", "/api/v1/reload").status == 200)
                #expect(await server.get("/api/v1/groups/mine").status == 404)
            }
        }

        @Test func `a group made by API is checked as files are`() async throws {
            try await ServerBench.with(rules: DeviceConfiguration.rules) { server in
                let text =
                    "name: mine\non: a/#/b\nrules:\n  - alert: A\n    expr: x >> 1\n    fro: 5m\n  - alert: A\n    expr: 'true'\n    for: 5\n"
                let answer = await server.request("PUT", "/api/v1/groups/mine", text, type: "application/yaml")
                #expect(answer.status == 422)
                let found = answer.json["diagnostics"]?.array?.filter { $0["severity"]?.string == "error" }.compactMap { $0["line"]?.int }
                #expect(Set(found ?? []) == [2, 5, 6, 7, 9])
                let taken = await server.request(
                    "PUT", "/api/v1/groups/other", Self.group("mine", "A").replacingOccurrences(of: "$ROOT", with: server.root),
                    type: "application/yaml")
                #expect(taken.status == 422, "\(taken.text)")
                #expect(await server.get("/api/v1/groups").json["items"]?.array?.count == 1)
            }
        }

        @Test func `a group from a file is read-only, and the answer names the file`() async throws {
            try await ServerBench.with(rules: DeviceConfiguration.rules) { server in
                let put = await server.request("PUT", "/api/v1/groups/limits", Self.group("limits", "X"), type: "application/yaml")
                #expect(put.status == 409 && put.text.contains("rules.yaml"), "\(put.text)")
                let removal = await server.request("DELETE", "/api/v1/groups/limits")
                #expect(removal.status == 409 && removal.text.contains("rules.yaml"), "\(removal.text)")
                #expect(await server.request("DELETE", "/api/v1/groups/unheard-of").status == 404)
            }
        }

        @Test func `groups put at the same time are all there, and after a restart too`() async throws {
            try await ServerBench.with(rules: DeviceConfiguration.rules) { server in
                let statuses = await withTaskGroup(of: Int.self) { puts in
                    for number in 0..<12 {
                        puts.addTask {
                            let text = Self.group("g\(number)", "A\(number)").replacingOccurrences(of: "$ROOT", with: server.root)
                            return await server.request("PUT", "/api/v1/groups/g\(number)", text, type: "application/yaml").status
                        }
                    }
                    return await puts.reduce(into: []) { $0.append($1) }
                }
                #expect(statuses == Array(repeating: 201, count: 12))
                func names() async -> Set<String> {
                    Set((await server.get("/api/v1/groups?limit=100").json["items"]?.array ?? []).compactMap { $0["name"]?.string })
                }
                let all = Set((0..<12).map { "g\($0)" } + ["limits"])
                #expect(await names() == all)
                await server.kill()
                try await server.start()
                #expect(await names() == all)
            }
        }
    }
}
