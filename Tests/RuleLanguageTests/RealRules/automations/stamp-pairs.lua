-- R070: of each half second, the readings of two streams whose own stamps (milliseconds) are at most 10 ms apart.
local a = automation { name = "stamp-pairs", description = "pairs readings by their own stamps" }
local temperatures, humidities = {}, {}

a:on_reading("line/temperature", function(r) temperatures[#temperatures + 1] = r end)
a:on_reading("line/humidity", function(r) humidities[#humidities + 1] = r end)

a:every("500ms", function()
  for _, t in ipairs(temperatures) do
    for _, h in ipairs(humidities) do
      if math.abs(t.ts - h.ts) <= 10 then
        mqtt.publish("line/pairs", { ts = t.ts, temperature = t.temperature, humidity = h.humidity })
      end
    end
  end
  temperatures, humidities = {}, {}
end)
