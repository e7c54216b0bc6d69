-- Shared by every load: one thread is one connection is one caller, with a credential of its own.
-- The first argument after `--` is a file with one credential a line; thread n takes line n (and n + threads, …).

local threads = {}

function setup(thread)
   thread:set("number", #threads)
   table.insert(threads, thread)
end

function credentials(path, number, count)
   local mine, line = {}, 0
   for text in io.lines(path) do
      if line % count == number then table.insert(mine, text) end
      line = line + 1
   end
   return mine
end

function post(path, credential, body, more)
   return "POST " .. path .. " HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer " .. credential
      .. "\r\nContent-Type: application/json\r\n" .. (more or "") .. "Content-Length: " .. #body .. "\r\n\r\n" .. body
end

function uuid()
   return string.format("%04x%04x-%04x-4%03x-8%03x-%04x%04x%04x", math.random(0, 65535), math.random(0, 65535),
      math.random(0, 65535), math.random(0, 4095), math.random(0, 4095), math.random(0, 65535), math.random(0, 65535),
      math.random(0, 65535))
end

function slots(slot)
   return '"slots":[{"slot":' .. slot .. ',"capabilities":[{"kind":"image","model":"testcard"}],'
      .. '"loaded":{"kind":"image","model":"testcard"}}]'
end

function claim_body(slot)
   return '{"claim_id":"' .. uuid() .. '","protocol":1,' .. slots(slot) .. '}'
end

function complete(lease, credential, body)
   return post("/api/v1/worker/jobs/" .. lease.job .. "/attempts/" .. lease.attempt .. "/complete", credential, body,
      "Tessera-Lease-Token: " .. lease.token .. "\r\n")
end

function lease_in(body)
   local job, attempt, token = body:match('"job_id":"([^"]+)","attempt":(%d+),"token":"([^"]+)"')
   if job then return { job = job, attempt = attempt, token = token } end
end

local ffi = require("ffi")
ffi.cdef("typedef struct { long s; long ns; } moment; int clock_gettime(int clock, moment *at);")
local clock = ffi.new("moment")

function now()
   ffi.C.clock_gettime(1, clock)
   return tonumber(clock.s) + tonumber(clock.ns) / 1e9
end

jobs, refused, empty, complaint, began, ended = 0, 0, 0, "", math.huge, 0

-- Counts a job; a run lasts from the first request to the last job.
function count()
   jobs = jobs + 1
   ended = now()
end

function complain(status, body)
   refused = refused + 1
   if complaint == "" then complaint = status .. " " .. body:sub(1, 300) end
end

-- One line of JSON: sums over the threads, latencies in milliseconds.
function done(summary, latency, requests)
   local sum, said, first, last = { jobs = 0, refused = 0, empty = 0 }, "", math.huge, 0
   for _, thread in ipairs(threads) do
      for name in pairs(sum) do sum[name] = sum[name] + thread:get(name) end
      if said == "" then said = thread:get("complaint") end
      first, last = math.min(first, thread:get("began")), math.max(last, thread:get("ended"))
   end
   io.write(string.format(
      '\nRESULT {"jobs":%d,"refused":%d,"empty":%d,"requests":%d,"seconds":%.6f,"p50_ms":%.3f,"p99_ms":%.3f,"errors":%d,"complaint":%q}\n',
      sum.jobs, sum.refused, sum.empty, summary.requests, math.max(last - first, 1e-6), latency:percentile(50) / 1e3,
      latency:percentile(99) / 1e3, summary.errors.connect + summary.errors.read + summary.errors.timeout, said:gsub("[\"\\%c]", "'")))
end
